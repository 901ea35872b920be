"""Requests are sent until they are answered, counted as the service counts them, and stop where it is in vain."""

from __future__ import annotations

import email.utils
import json
import pickle
import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import http_servers
from dfa.errors import InvalidInputError, OracleError
from dfa.oracle.services import patience
from dfa.oracle.services.books import Books, ServiceUse
from dfa.oracle.services.credentials import FromEnvironment
from dfa.oracle.services.patience import seconds_of
from dfa.oracle.services.transport import Transport, content_of
from http_servers import served, status

BODY = b'{"images": []}'


@pytest.fixture(autouse=True)
def directly(monkeypatch):
    """Leave out what proxies the machine has."""
    monkeypatch.setattr("urllib.request.getproxies", dict)


def quick(url, **arguments):
    """A transport that is sent again at once."""
    return Transport(url, first_pause=0.001, **arguments)


def post(transport):
    return transport.post(BODY, "application/json", 2, read=content_of)


def only(fault, *numbers):
    """What goes wrong with some of the requests."""
    return lambda number: fault if number in numbers else None


def test_a_reply_comes_back():
    with served() as service:
        transport = quick(service.url + "?k=5")
        assert post(transport) == {"answers": []}
        reply = transport.post(BODY, "application/json", 1, path="/more", headers={"X-One": "1"})
        assert (reply.status, json.loads(reply.body)) == (200, {"answers": []})
        assert (reply.headers.get("CONTENT-type"), reply.headers.get("X-Absent")) == ("application/json", None)
        assert service.paths == ["/classify?k=5", "/classify/more?k=5"]
        assert service.headers[1]["X-One"] == "1"
        assert transport.get().body == b'{"name": "service"}'
        transport.close()
    assert transport.books.use == ServiceUse(requests=2, images=3, answered=2, billed_low=2, billed_high=2)


@pytest.mark.parametrize(
    ("fault", "told", "high"),
    [
        (http_servers.reset, "ConnectionResetError|the reply is cut off", 3),
        (http_servers.cut, "the reply is cut off: 986 of its 1000 bytes are missing", 3),
        (http_servers.cut_chunks, "cut off between its chunks", 3),
        (http_servers.wrong_chunks, "one has no size", 3),
        (http_servers.silent, "closed without a reply", 3),
        (http_servers.says(b"{'single': 'quotes'}"), "is no JSON", 3),
        (http_servers.stuck, "TimeoutError", 3),
        (lambda handler: handler.wfile.write(b"SSH-2.0-other\r\n\r\n"), "not one of HTTP/1.1", 3),
        *[(status(number), f"status {number} ", 3) for number in (500, 502, 504)],
        *[(status(number), f"status {number} ", 0) for number in (408, 425, 429, 503)],
    ],
)
def test_what_fails_is_sent_again_alone_and_in_the_end_told(fault, told, high):
    with served() as service:
        service.fault = only(fault, 1, 2)
        transport = quick(service.url, timeout=0.2 if fault is http_servers.stuck else 30.0)
        assert post(transport) == {"answers": []}
        assert (transport.books.use.requests, transport.books.use.retries) == (3, 2)
        assert (transport.books.use.billed_low, transport.books.use.billed_high) == (1, 1 + high * 2 // 3)
        service.fault = lambda number: fault
        transport = quick(service.url, retries=2, timeout=0.2 if fault is http_servers.stuck else 30.0)
        with pytest.raises(OracleError, match=rf"^{service.url}: .*({told}).*; tried 3 times in vain$"):
            post(transport)
        assert transport.books.use.requests == 3
        assert (transport.books.use.billed_low, transport.books.use.billed_high) == (0, high)
        assert service.requests == 6


@pytest.mark.parametrize("answer", [http_servers.chunked, http_servers.no_length])
def test_a_body_without_a_length_is_read_to_its_end(answer):
    with served() as service:
        service.fault = only(answer, 1)
        transport = quick(service.url)
        assert [each["name"] for each in post(transport)["labels"]] == ["crow"]
        assert post(transport) == {"answers": []}
    assert transport.books.use.requests == 2


def test_totals_are_the_services_own_under_faults_from_many_threads():
    faults = {17: status(503), 29: http_servers.reset, 41: http_servers.silent, 53: status(429, Retry_After="0")}
    with served() as service:
        service.fault = lambda number: next((fault for each, fault in faults.items() if number % each == 0), None)
        transport = quick(service.url, concurrency=16, books=Books(price="0.001"))
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: post(transport), range(400)))
        transport.close()
        use = transport.books.use
        assert answers == [{"answers": []}] * 400
        assert use.requests == service.requests > 440
        assert use.images == 2 * service.requests
        assert use.answered == service.answered == use.billed_low == 400
        numbers = range(1, use.requests + 1)
        assert use.rejected == sum(n % 17 == 0 or (n % 53 == 0 and n % 29 > 0 and n % 41 > 0) for n in numbers)
        assert use.retries == use.requests - 400
        assert use.billed_high == use.requests - use.rejected


def test_no_more_connections_than_asked_for_and_each_is_used_again():
    with served() as service:
        places = set()
        service.fault = lambda number: lambda handler: (places.add(handler.client_address), handler.reply(200, b"{}"))
        transport = quick(service.url, concurrency=3)
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda _: post(transport), range(60)))
    assert 1 <= len(places) <= 3


def test_a_request_is_not_sent_into_a_connection_that_was_closed_meanwhile():
    with served() as service:
        transport = quick(service.url)
        service.fault = only(lambda handler: (handler.reply(200, b"{}"), handler.hang_up()), 1)
        post(transport)
        time.sleep(0.05)
        post(transport)
        assert transport.books.use.requests == service.requests == 2
        assert transport.books.use.retries == 0


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (
            status(400, b"<p>no\n  such model</p>"),
            r"refuses the request, status 400 Bad Request: <p>no such model</p>$",
        ),
        (status(404, b""), "status 404 Not Found$"),
        (status(413, b"x" * 300), "x{200}\\.\\.\\.$"),
        (status(418), "status 418"),
        (status(501), "status 501"),
        (status(302, Location="https://other.example/x?key=1"), "redirects to other.example .*pass the address"),
        (status(301), "redirects to elsewhere"),
    ],
)
def test_a_request_that_is_refused_is_not_sent_again(fault, told):
    with served() as service:
        service.fault = lambda number: fault
        with pytest.raises(OracleError, match=told):
            post(quick(service.url))
        assert service.requests == 1


def test_a_status_may_be_allowed_for_a_question_about_no_image():
    with served() as service:
        transport = quick(service.url)
        http_servers.Handler.do_GET, before = (lambda self: self.reply(404, b"none")), http_servers.Handler.do_GET
        try:
            assert transport.get("/x", allowed=(404,)).status == 404
            with pytest.raises(OracleError, match="status 404"):
                transport.get("/x")
        finally:
            http_servers.Handler.do_GET = before
    assert transport.books.use.requests == 0


@pytest.mark.parametrize("word", ["close", "Keep-Alive, Close"])
def test_a_connection_that_is_to_be_closed_is_not_used_again(word):
    places = []

    def answer(handler):
        places.append(handler.client_address)
        handler.reply(200, b"{}", Connection=word)

    with served() as service:
        service.fault = lambda number: answer
        transport = quick(service.url)
        for _ in range(3):
            post(transport)
        assert len(set(places)) == service.requests == 3


def closed_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_a_connection_that_does_not_come_about_is_no_request():
    transport = quick(f"http://127.0.0.1:{closed_port()}/", retries=2)
    with pytest.raises(OracleError, match=r"no connection to 127\.0\.0\.1: ConnectionRefusedError.*tried 3 times"):
        post(transport)
    assert (transport.books.use.requests, transport.books.use.retries) == (0, 2)


def test_nothing_is_sent_that_may_cost_too_much():
    with served() as service:
        service.fault = lambda number: http_servers.reset
        transport = quick(service.url, books=Books(price=1, max_cost=3))
        with pytest.raises(OracleError, match="max_cost=3"):
            post(transport)
        assert service.requests == 3


def test_retry_after_holds_all_back(monkeypatch):
    pauses = []
    monkeypatch.setattr(patience.Patience, "hold_all_back", lambda self, seconds: pauses.append(seconds))
    with served() as service:
        service.fault = only(status(429, Retry_After="7"), 1)
        post(quick(service.url))
    assert pauses == [7.0]
    waits = []
    held = patience.Patience(1.0, lambda seconds: None)
    monkeypatch.undo()
    held.hold_all_back(100.0)
    held.pause = lambda seconds, failures: (waits.append(seconds), setattr(held, "_not_before", 0.0))
    held.hold_back(0)
    held.hold_back(0)
    assert [round(seconds) in (100, 101) for seconds in waits] == [True]


def test_a_service_that_wants_to_be_left_alone_for_long_is():
    with served() as service:
        service.fault = lambda number: status(503, Retry_After="90000")
        with pytest.raises(OracleError, match=r"asked again in 90000 seconds, status 503.*resume the run then"):
            post(quick(service.url))


def test_the_seconds_of_retry_after():
    now = 1_900_000_000.0
    assert seconds_of("12", now) == 12
    assert seconds_of(email.utils.formatdate(now + 90, usegmt=True), now) == 90
    assert [seconds_of(text, now) for text in (None, "", "soon", "-1", email.utils.formatdate(now - 5))] == [0.0] * 5


def test_pauses_double_to_a_minute_and_differ():
    waiting = patience.Patience(0.25, lambda seconds: None)
    seen = []
    waiting.pause = lambda seconds, failures: seen.append(seconds)
    for attempts in (1, 2, 3, 9, 2000):
        waiting.back_off(attempts, 0)
    for seconds, longest in zip(seen, (0.25, 0.5, 1, 60, 60), strict=True):
        assert longest / 2 <= seconds <= longest
    assert len({seconds / longest for seconds, longest in zip(seen, (0.25, 0.5, 1, 60, 60), strict=True)}) == 5


def test_once_a_request_failed_for_good_the_others_stop_and_later_ones_do_not():
    with served() as service:
        begun = threading.Event()

        def fault(number):
            begun.set()
            return status(503) if number == 1 else status(403, b"no quota") if number == 2 else None

        service.fault = fault
        transport = Transport(service.url, first_pause=1e6)
        with ThreadPoolExecutor(1) as pool:
            patient = pool.submit(post, transport)
            assert begun.wait(10)
            while not transport.books.use.rejected:
                time.sleep(0.001)
            with pytest.raises(OracleError, match="403"):
                post(transport)
            with pytest.raises(OracleError, match=r"no quota.*another request; this one was not sent again"):
                patient.result(timeout=10)
        assert post(transport) == {"answers": []}


def test_who_hangs_up_waits_for_no_further_attempt_and_may_ask_later():
    with served() as service:
        service.fault = only(status(503, Retry_After="3000"), 1)
        transport = quick(service.url)
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(post, transport)
            while service.requests == 0 or not transport.books.use.rejected:
                time.sleep(0.01)
            transport.hang_up()
            with pytest.raises(OracleError, match="the run is over \\(another request; this one was not sent again"):
                waiting.result(timeout=60)
        assert service.requests == 1


def test_what_the_environment_holds_is_read_when_it_is_sent(monkeypatch):
    with served() as service:
        transport = quick(service.url, token_env="DFA_TEST_TOKEN", headers={"X-Key": FromEnvironment("DFA_TEST_KEY")})
        monkeypatch.delenv("DFA_TEST_TOKEN", raising=False)
        monkeypatch.setenv("DFA_TEST_KEY", " abc \n")
        for use in (transport.check, lambda: post(transport)):
            with pytest.raises(InvalidInputError, match="the environment variable DFA_TEST_TOKEN must hold a secret"):
                use()
        for token in ("one", "two"):
            monkeypatch.setenv("DFA_TEST_TOKEN", token)
            post(pickle.loads(pickle.dumps(transport)))
        assert [(each["Authorization"], each["X-Key"]) for each in service.headers] == [
            ("Bearer one", "abc"),
            ("Bearer two", "abc"),
        ]
        assert transport.header_names == ["X-Key", "Authorization"]
        monkeypatch.setenv("DFA_TEST_TOKEN", "one\r\nX-Evil: 1")
        with pytest.raises(InvalidInputError, match="one line that a header can have"):
            post(transport)


def test_a_name_and_a_password_in_the_address_are_sent():
    with served() as service:
        post(quick(service.url.replace("://", "://me:p%40ss@")))
        assert service.headers[0]["Authorization"] == "Basic bWU6cEBzcw=="
        assert service.headers[0]["Host"] == service.url.split("/")[2]


@pytest.mark.parametrize("scheme", ["", "http://", "http://us%65r:proxy-secret@"])
def test_a_proxy_of_the_environment_is_asked(monkeypatch, scheme):
    with served() as service:
        proxy = scheme + service.url.split("/")[2]
        monkeypatch.setattr("urllib.request.getproxies", lambda: {"http": proxy})
        post(quick("http://vision.example:81/classify?k=1"))
        assert service.paths == ["http://vision.example:81/classify?k=1"]
        assert service.headers[0]["Host"] == "vision.example:81"
        assert ("Proxy-Authorization" in service.headers[0]) == ("secret" in proxy)
        # That of https is asked for a tunnel, which this one has not.
        monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": proxy})
        with pytest.raises(OracleError, match=r"no connection to the proxy 127\.0\.0\.1:\d+: .*(501|refused|Tunnel)"):
            post(quick("https://vision.example/", retries=0))
        monkeypatch.setattr("urllib.request.proxy_bypass", lambda host: host == "127.0.0.1")
        monkeypatch.setattr("urllib.request.getproxies", lambda: {"http": "http://127.0.0.1:9"})
        post(quick(service.url))


def test_a_proxy_that_is_none_is_not_shown(monkeypatch):
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"http": "socks5://me:secret@proxy:1"})
    with pytest.raises(InvalidInputError, match=r"must be http://HOST:PORT; set NO_PROXY=vision\.example") as caught:
        quick("http://vision.example").check()
    assert "secret" not in str(caught.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of 127.0.0.1, which vouches for itself, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "cert"]
    about = ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    try:
        subprocess.run([*request, *about], cwd=folder, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("openssl is not installed")
    return folder / "cert", folder / "key"


def test_certificates_are_looked_at(certificate, monkeypatch, tmp_path):
    service = http_servers.Service()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    service.socket = context.wrap_socket(service.socket, server_side=True)
    with served(service):
        url = service.url.replace("http:", "https:")
        transport = quick(url, ca_file=certificate[0])
        for _ in range(3):
            assert post(transport) == {"answers": []}
        transport.close()
        assert transport.books.use.requests == service.requests == 3
        refused = quick(url)
        with pytest.raises(OracleError, match=r"the certificate of 127\.0\.0\.1 is not trusted: .*pass ca_file="):
            post(refused)
        assert (service.requests, refused.books.use.requests) == (3, 0)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        post(quick(url))
    (tmp_path / "none").write_text("none")
    for file in ("none", "absent"):
        with pytest.raises(InvalidInputError, match="ca_file must be a file of certificates"):
            quick(url, ca_file=tmp_path / file).check()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"url": "vision.example/x"}, "url must be an address such as https"),
        ({"url": "ftp://vision.example/x"}, "http or https"),
        ({"url": "http://vision.example:x/"}, "url must be an address such as https"),
        ({"url": "http:///x"}, "url must be an address such as https"),
        ({"url": "http://v.example/a b"}, "printable ASCII"),
        ({"url": "http://v.example/\r\nX: 1"}, "printable ASCII"),
        ({"url": "http://v.example/ü"}, "printable ASCII"),
        ({"url": b"http://v.example"}, "got bytes"),
        ({"concurrency": 0}, "concurrency must be an integer in 1..10000"),
        ({"timeout": 0}, "timeout must be a finite number of seconds above 0"),
        ({"timeout": "1"}, "timeout must be"),
        ({"retries": -1}, "retries must be an integer of at least 0"),
        ({"headers": [("a", "b")]}, "headers must be a dict"),
        ({"headers": {"a b": "c"}}, "headers must have names"),
        ({"headers": {"a": 1}}, "the header a must be a str or dfa.FromEnvironment"),
        ({"headers": {"a": "b\r\nc: d"}}, "the header a must be one line"),
        ({"headers": {"content-length": "1"}}, "is dfa's to say"),
        ({"headers": {"a": "1", "A": "2"}}, "each header may be given once"),
        ({"headers": {"authorization": "x"}, "token_env": "T"}, "each header may be given once"),
        ({"url": "http://a:b@v.example", "token_env": "T"}, "url has a name and a password in it, and Authorization"),
        ({"token_env": ""}, "needs the name of an environment variable"),
        ({"token_env": "a=b"}, "needs the name of an environment variable"),
        ({"ca_file": 1}, "ca_file must be a path"),
    ],
)
def test_an_argument_that_is_none_is_refused(arguments, told):
    with pytest.raises(InvalidInputError, match=told):
        Transport(**{"url": "http://vision.example"} | arguments)
