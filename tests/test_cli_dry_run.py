"""What a run of a service would take, told by a dry run; and flags from a file."""

from __future__ import annotations

import json
import math
import re
import shutil

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

import dfa
import http_servers
from command_line import IMAGES, dfa_says
from dfa.cli.commands.dry_run import _at_rate
from dfa.oracle.services.limits import parse_rate
from test_cli_services import command_of, refused, words, workplace


@pytest.fixture
def here(tmp_path, monkeypatch):
    return workplace(tmp_path, monkeypatch)


@pytest.fixture
def service():
    with http_servers.served() as service:
        yield service


class TestDryRun:
    def test_it_attacks_a_few_and_says_what_all_would_take(self, here, capsys, service):
        money = ("--price", "0.01", "--currency", "EUR", "--max-cost", "1.9")
        given = words(
            service, "--dry-run", "--pilot", 4, "--rate", "6000/min", "--rate", "999/s", "--out", "run", *money
        )
        status, out, err = dfa_says(capsys, "attack", *given, "--json")
        assert status == 0, err
        assert "attacking 4 of 10 images, spread over all; kept in run-pilot" in err
        told, forecast = json.loads(out), json.loads(out)["forecast"]
        sent = service.requests
        assert told["service"]["use"]["requests"] == sent
        assert not (here / "run").exists()
        pilot = dfa.Result.load("run-pilot")
        assert [each.source for each in pilot.records] == ["0", "2", "4", "6"]
        queries = int(pilot.queries_sent.sum())
        assert (told["images"], forecast["images"]) == (10, 10)
        assert forecast["queries"][1] == pytest.approx(10 * queries / 4)
        assert forecast["requests"][1] == pytest.approx(10 * queries / 4 * sent / queries)
        assert forecast["cost"][1] == pytest.approx(0.01 * forecast["requests"][1])
        assert forecast["cost"][0] < forecast["cost"][1] < forecast["cost"][2]
        assert forecast["seconds"][1] == pytest.approx((forecast["requests"][1] - 1) / 100, abs=0.05)
        assert forecast["images_for_max_cost"] == int(10 * 1.9 / forecast["cost"][1]) < 10
        shutil.rmtree("run-pilot")
        status, out, _ = dfa_says(capsys, "attack", *given)
        lines = out.splitlines()
        assert lines[0].startswith("Pilot: 4 images attacked, TSR ")
        assert re.fullmatch(
            r"10 images would take about \d+ \(.* to .*\) queries and \d+ \(\d+ to \d+\) requests\.", lines[1]
        )
        assert "at 6000/min and 999/s, 8 requests at a time." in lines[2]
        assert re.fullmatch(r"Cost: about [\d.]+ \([\d.]+ to [\d.]+\) EUR\.", lines[3])
        assert "--max-cost 1.90 ends the run before that: it pays for about" in lines[4]
        assert (status, lines[-1]) == (0, "Nothing more was sent.")

    def test_labels_targets_and_epsilons_go_with_their_images(self, here, capsys, service):
        classes = np.array([http_servers.scores(image).argmax() for image in IMAGES])
        np.save("labels.npy", classes)
        np.save("epsilon.npy", np.arange(10, 20))
        (here / "targets.csv").write_text("target\n" + "".join(f"{(each + 1) % 8}\n" for each in classes))
        more = ("--labels", "labels.npy", "--target", "targets.csv", "--epsilon", "epsilon.npy", "--dry-run")
        status, _, err = dfa_says(capsys, "attack", *words(service, "--out", "run", *more))
        assert status == 0, err
        pilot = dfa.Result.load("run-pilot")
        assert [each.label for each in pilot.records] == classes[::2].tolist()
        assert [each.target for each in pilot.records] == [(each + 1) % 8 for each in classes[::2]]
        assert np.load("run-pilot/epsilon.npy").tolist() == [10, 12, 14, 16, 18]

    @pytest.mark.parametrize(("most", "told"), [("9999", "is enough for that"), (None, "not known without --price")])
    def test_what_is_enough_and_what_is_not_known(self, here, capsys, service, most, told):
        money = () if most is None else ("--price", "0.01", "--max-cost", most)
        status, out, _ = dfa_says(capsys, "attack", *words(service, "--out", "run", "--dry-run", *money))
        assert (status, told in out) == (0, True), out
        assert service.requests < 400

    @pytest.mark.parametrize(("rate", "requests", "seconds"), [("20/s", 41, 2), ("5/min", 11, 120), ("20/h", 41, 7200)])
    def test_time_goes_by_the_rate(self, rate, requests, seconds):
        assert _at_rate(requests, parse_rate(rate)) == seconds
        assert _at_rate(20, parse_rate("20/day")) == 0
        assert _at_rate(math.inf, parse_rate(rate)) == math.inf

    def test_it_does_not_cost_more_than_all_may(self, here, capsys, service):
        money = ("--price", "1", "--max-cost", "7")
        status, _, err = dfa_says(capsys, "attack", *words(service, "--out", "run", "--dry-run", *money))
        assert (status, "may cost no more than --max-cost 7" in err, service.requests) == (3, True, 7), err


class TestConfig:
    def test_a_file_has_flags_and_words(self, here, capsys, service):
        (here / "vision.toml").write_text(
            f'model = "{service.url}"\nimages = "images.npy"\nparse = "mine.py:parse"\nk = 5\n'
            'class-names = "names.txt"\nmax_queries = 40\nepsilon = 24\nprice = 0.0015\njson = true\n'
            'rate = ["5000/s", "999999/h"]\n'
            "window-halvings = [10, 20]\narchive = false\n"
        )
        status, out, err = dfa_says(capsys, "attack", "--config", "vision.toml", "--out", "run", "--max-queries", 30)
        assert status == 0, err
        config = dfa.Result.load("run").config
        assert json.loads(out)["folder"] == "run"
        assert (config["max_queries"], config["oracle"]["rate"]) == (30, ["5000/s", "999999/h"])
        assert config["oracle"]["price"] == "0.0015"
        assert (config["optimizer"]["window_halvings"], config["optimizer"]["archive"]) == ([10, 20], False)
        expected = {"model": service.url, "epsilon": "24", "price": "0.0015", "rate": "5000/s,999999/h"}
        command = command_of(here / "run")
        assert {name: command[name] for name in expected} == expected

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("epsilom = 3", "'epsilom' is none"),
            ("config = 'x'", "'config' is none"),
            ("max-queries = 1\nmax_queries = 2", "twice, with - and with _"),
            ("rate = {a = 1}", "must be a text, a number, true, false, or a list of these"),
            ("epsilon =", "must be TOML, such as epsilon = 8"),
            ("k = 'many'", "'many' is not a valid integer"),
            ("images = 'photos'", "both be in the file of --config, or both in the command"),
        ],
    )
    def test_what_a_file_may_not_hold(self, here, capsys, text, message):
        (here / "wrong.toml").write_text(text)
        given = ("model.py:classify",) if "images" in text else ("model.py:classify", "photos")
        assert message in refused(capsys, *given, "--config", "wrong.toml", "--out", "run")

    def test_a_file_that_is_not_there(self, here, capsys):
        assert "gone.toml" in refused(capsys, "model.py:classify", "photos", "--config", "gone.toml")
