"""Flags that say how a service is asked: `SERVICE_SETTINGS`, each under its name."""

from __future__ import annotations

import click

from dfa.cli.commands.flags import SERVICE, Decorated, Joined, flag, joined
from dfa.cli.sources.services import WAYS
from dfa.oracle.services.service import WATCH_EVERY

rate_option = flag(
    "--rate",
    section=SERVICE,
    is_common=True,
    metavar="N/TIME,...",
    multiple=True,
    type=Joined(),
    callback=joined,
    help="What it allows, such as 20/s. Also 100/min, 1000/h or 5000/day; of several all are kept.",
)
max_cost_option = flag(
    "--max-cost",
    section=SERVICE,
    is_common=True,
    metavar="MONEY",
    help="Send nothing that may cost more, with all before. Needs --price. The run then ends with everything kept; dfa "
    "resume --max-cost goes on.",
)
concurrency_option = flag(
    "--concurrency", section=SERVICE, type=click.IntRange(1), help="Requests at a time.  [default: 8]"
)
retries_option = flag(
    "--retries",
    section=SERVICE,
    type=click.IntRange(0),
    help="How often a request is sent again that is not answered, later and later; Retry-After is honoured.  "
    "[default: 8]",
)
timeout_option = flag(
    "--timeout",
    section=SERVICE,
    type=float,
    help="Seconds that it may be silent before a request counts as lost.  [default: 30]",
)
token_env_option = flag(
    "--token-env",
    section=SERVICE,
    metavar="NAME",
    help="The environment variable that holds a token, sent as Authorization: Bearer. Its name is kept, its value "
    "never.",
)
header_option = flag(
    "--header",
    section=SERVICE,
    metavar="HEADER=NAME,...",
    multiple=True,
    type=Joined(),
    callback=joined,
    help="A header whose value the environment variable NAME holds, such as X-Api-Key=VISION_KEY, or several. Never "
    "the value itself.",
)
ca_file_option = flag(
    "--ca-file", section=SERVICE, metavar="FILE", help="Certificates to trust, in PEM form, in place of the system's."
)
rate_file_option = flag(
    "--rate-file", section=SERVICE, metavar="FILE", help="A file through which processes keep --rate together."
)
parse_option = flag(
    "--parse",
    section=SERVICE,
    is_common=True,
    metavar="MODULE:ATTR",
    help="Makes {label: score} of a reply's JSON. Of MODEL https://..., "
    "which needs it: a function that gets the JSON, or bytes where it is none. With --returns probabilities or logits "
    "it returns all scores, with label a label; with --images-per-request above 1 one such for each image.",
)
encode_option = flag(
    "--encode",
    section=SERVICE,
    metavar="WAY",
    help=f"Of MODEL https://...: how images are posted. {' or '.join(WAYS)}, which is JSON, or MODULE:ATTR, a function "
    f"of an image.  [default: {WAYS[1]}]",
)
on_drift_option = flag(
    "--on-drift",
    section=SERVICE,
    type=click.Choice(["stop", "mark"]),
    help="What to do where it no longer answers as it did: stop, or mark what follows.  [default: stop]",
)
watch_every_option = flag(
    "--watch-every",
    section=SERVICE,
    type=click.IntRange(0),
    help="Attack queries after which an unchanged image is asked about again, to see that it answers as it "
    f"did; 0: never.  [default: {WATCH_EVERY}]",
)
price_option = flag("--price", section=SERVICE, metavar="MONEY", help="Of one request, such as 0.0015.")


def service_options(command: Decorated) -> Decorated:
    """Give a command the flags of `SERVICE_SETTINGS`."""
    for option in (
        ca_file_option,
        timeout_option,
        retries_option,
        on_drift_option,
        watch_every_option,
        header_option,
        token_env_option,
        flag(
            "--images-per-request",
            section=SERVICE,
            type=click.IntRange(1),
            help="The most images of one request.  [default: 1; 16, of oip+http://...]",
        ),
        concurrency_option,
        flag("--currency", section=SERVICE, metavar="WORD", help="What --price is in, such as EUR."),
        max_cost_option,
        price_option,
        rate_file_option,
        rate_option,
        encode_option,
        parse_option,
    ):
        command = option(command)
    return command


def resume_options(command: Decorated) -> Decorated:
    """Give a command those flags that say how to go on with a service, and those that must be named again."""
    for option in (
        ca_file_option,
        rate_file_option,
        header_option,
        token_env_option,
        encode_option,
        parse_option,
        timeout_option,
        retries_option,
        on_drift_option,
        watch_every_option,
        concurrency_option,
        max_cost_option,
        price_option,
        rate_option,
    ):
        command = option(command)
    return command
