"""The command `dfa`: its commands under one roof, and the exit statuses of what goes wrong in them."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from typing import Final

import click
from click.shell_completion import shell_complete

import dfa
from dfa.checks import printable
from dfa.cli.commands.attack import attack
from dfa.cli.commands.audit import audit
from dfa.cli.commands.bench import bench
from dfa.cli.commands.completion import COMPLETE, completion
from dfa.cli.commands.demo import demo
from dfa.cli.commands.frontier import frontier
from dfa.cli.commands.info import info
from dfa.cli.commands.merge import merge
from dfa.cli.commands.outcome import DONE, EXIT_STATUS, FAULT, FOLDER, INTERRUPTED, ORACLE, UNREAD, USAGE
from dfa.cli.commands.replay import replay
from dfa.cli.commands.report import report
from dfa.cli.commands.resume import resume
from dfa.cli.commands.suite import suite
from dfa.cli.commands.verify import verify
from dfa.cli.commands.wording import in_options
from dfa.cli.fault import tell_fault
from dfa.errors import DfaError, ObjectiveError, OracleError, StoreError
from dfa.files import let_go_of_output

_QUOTES: Final = "A glob goes in quotes, such as 'photos/*.png'; without them the shell puts files in its place"

_COMMAS: Final = "Numbers of one flag have commas between them, such as --mean 0.485,0.456,0.406"
_NUMBERS: Final = re.compile(r"arguments? \((?:-?[\d.]+[ ,]*)+\)")


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=f"""\b
Examples:
  dfa attack model.keras photos/ --epsilon 8 --out runs/first
  dfa attack model.pt photos/ --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
  dfa attack https://HOST/PATH photos/ --parse mymodule:parse --k 5 --num-classes 1000 --rate 20/s
  dfa frontier model.keras photos/ --max-epsilon 32 --out runs/frontier
  dfa resume runs/first
  dfa replay runs/first
  dfa verify runs/first --model model.keras
  dfa report runs/first
  dfa bench model.keras photos/

{EXIT_STATUS}""",
)
@click.version_option(dfa.__version__, package_name="dfa-attack")
def app() -> None:
    """Adversarial 8-bit images by querying alone.

    MODEL is a file (.keras, .tflite, .onnx, or a torch program: .pt, .ts, .pt2), timm:NAME or torchvision:NAME (with
    their weights, or with @FILE.safetensors behind), or module:attribute (or file.py:attribute) for what there is of a
    model in Python: a torch module, a Keras model, any function from uint8 images (n, H, W, C) to scores (n, K), a
    dfa.Pipeline, or another dfa.Oracle. Or it is the address of a service, https://HOST/PATH, or
    oip+http://HOST:PORT/NAME for a model on a server of the Open Inference Protocol. IMAGES is a folder, a glob, or a
    .npy or .npz file.
    """


_RUNS = (attack, frontier, resume, replay, merge)
_LOOKS = (verify, report, bench, suite, audit, demo, info, completion)
for command in (*_RUNS, *_LOOKS):
    app.add_command(command)


def invoke(arguments: Sequence[str]) -> int:
    """Run a command, print what came of it, and return the exit status."""
    instruction = os.environ.get(COMPLETE)
    if instruction:
        return shell_complete(app, {}, "dfa", COMPLETE, instruction)
    wants_json = "--json" in arguments
    command = next((app.commands[word] for word in arguments if word in app.commands), None)
    try:
        # Not `app.main`: it takes any end of a file for an interrupt, and what an interrupt has to say is lost in it.
        with app.make_context("dfa", list(arguments)) as context:
            status = app.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        message = error.format_message()
        if "unexpected extra argument" in message:
            hint = _COMMAS if _NUMBERS.search(message) else _QUOTES
            print(printable(hint), file=sys.stderr)
            message += f". {hint}"
        if wants_json:
            print(json.dumps({"error": message, "exit": USAGE}))
        return USAGE
    except (KeyboardInterrupt, click.Abort) as error:
        return _fail(INTERRUPTED, str(error) or "interrupted", wants_json)
    except (OracleError, ObjectiveError) as error:
        return _fail(ORACLE, in_options(str(error), command), wants_json)
    except StoreError as error:
        return _fail(FOLDER, in_options(str(error), command), wants_json)
    except DfaError as error:
        return _fail(USAGE, in_options(str(error), command), wants_json)
    except BrokenPipeError:
        let_go_of_output()
        return UNREAD
    except (Exception, SystemExit) as error:
        return _fail(FAULT, tell_fault(error, arguments), wants_json)
    return status if isinstance(status, int) else DONE


def _fail(status: int, message: str, wants_json: bool) -> int:
    print(printable(f"dfa: {message}"), file=sys.stderr)
    if wants_json:
        print(json.dumps({"error": message, "exit": status}))
    return status
