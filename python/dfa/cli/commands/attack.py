"""`dfa attack`."""

from __future__ import annotations

import dataclasses
import itertools
import re
import time
from pathlib import Path
from typing import Any, Final

import click

import dfa
from dfa.cli.commands.config_file import check_arguments, config_option
from dfa.cli.commands.dry_run import DEFAULT_PILOT, tell_forecast
from dfa.cli.commands.flags import IMAGES, RUN, SERVICE, LongCommand, flag
from dfa.cli.commands.judging import BAR_WORDS, Bar, bar_options
from dfa.cli.commands.options import (
    class_names_option,
    confirmations_option,
    image_layout_option,
    image_options,
    json_option,
    labels_option,
    model_options,
    objective_option,
    optimizer_settings,
    preset_option,
    prior_option,
    run_settings,
    setting_options,
    target_option,
    worker_options,
)
from dfa.cli.commands.outcome import EXIT_STATUS
from dfa.cli.commands.running import interruptible, run_request
from dfa.cli.commands.service_options import service_options
from dfa.cli.request import Request
from dfa.cli.sources.at_workers import WORKER_WORDS, parse_workers
from dfa.cli.sources.services import check_address, service_of
from dfa.errors import InvalidInputError
from dfa.space import core_spaces

_EXAMPLES: Final = """\b
Examples:
  dfa attack model.keras photos/ --epsilon 8 --labels labels.csv --size 224x224
  dfa attack mynet.py:model photos/ --mean 0.5 --std 0.5   # any torch module, in eval mode
  dfa attack model.onnx photos/ --value-range 0,255        # or 0,1; or --mean and --std
  dfa attack https://HOST/PATH photos/ --parse mine:parse --k 5 --num-classes 1000 --dry-run
"""


@click.command(
    cls=LongCommand,
    short_epilog=f"{_EXAMPLES}\n{EXIT_STATUS}",
    epilog=f"""{_EXAMPLES}\
  dfa attack model.keras photos-by-class/ --labels folders   # photos-by-class/cat/1.jpg, photos-by-class/dog/2.jpg, ...
  dfa attack model.pt photos/ --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225    # TorchScript, torch.export
  dfa attack timm:resnet50 photos/ --size 224x224 --workers cuda:0,cuda:1   # a model on each
  dfa attack mobilenet.tflite photos/ --class-offset 1     # an 8-bit model with 1001 outputs
  dfa attack mymodule:classify images.npz --target rank:11 --preset paper
  dfa attack defended.py:pipeline photos/ --confirmations 8/10   # a randomised defence
  dfa attack model.keras photos/ --space rectangle:height=32,width=32
  dfa attack model.keras photos/ --shows label             # as if the model answered with labels alone
  dfa attack model.keras photos/ --prior surrogate.keras   # another model's gradients are a hint
  dfa attack https://HOST/PATH photos/ --parse mine.py:parse --class-names names.txt --k 5 --token-env VISION_TOKEN \
      --rate 20/s --rate 5000/day --price 0.0015 --max-cost 5.00 --currency EUR --dry-run   # a service
  dfa attack oip+http://localhost:8000/resnet50 photos/ --value-range 0,1   # of Triton, KServe, MLServer, ...
  dfa attack model.keras 'photos/*.jpg' --fail-above 0.05 --json   # in CI
  dfa attack model.keras photos/ --baseline runs/last --junit junit.xml --sarif dfa.sarif

labels.csv has a header and the columns file,label (or index,label). Labels are ids, or names of --class-names.
Of --labels folders too; without --class-names the folders have ids in the order of their names, as in torchvision.

{EXIT_STATUS}""",
)
@click.argument("model")
@click.argument("images")
@flag("--epsilon", metavar="LEVELS", help="Largest change, grey levels or .npy file.  [default: 10]")
@flag(
    "--space",
    metavar="WORD",
    help="Search elsewhere than in the ball of epsilon. KIND or KIND:FIELD=N,..., a space of dfa with its fields "
    f"({', '.join(core_spaces())}), or module:attribute.",
)
@labels_option
@target_option
@class_names_option
@prior_option
@setting_options(run_settings(), unset=False)
@flag("--out", type=click.Path(path_type=Path), help="Run folder.  [default: runs/MODEL-DATE-TIME]")
@flag("--overwrite", is_flag=True, help="Replace a run or result in that folder.")
@bar_options
@json_option
@model_options
@service_options
@flag(
    "--dry-run",
    section=SERVICE,
    is_flag=True,
    help="Attack a few images and say what all would take. The few are a run of their own, in OUT-pilot; then it ends.",
)
@flag(
    "--pilot",
    section=SERVICE,
    type=click.IntRange(2),
    help=f"With --dry-run: how many images to attack, spread over all.  [default: {DEFAULT_PILOT}]",
)
@image_options
@image_layout_option
@flag(
    "--part",
    section=IMAGES,
    metavar="J/K",
    help="Attack the Jth of K parts of IMAGES, neighbours such as 3/16, in a run of its own; dfa merge joins them. Its "
    "images learn from one another alone; with --archive false the parts find together what one run finds.",
)
@confirmations_option
@flag(
    "--checkpoint",
    section=RUN,
    type=int,
    default=dfa.Storage.interval,
    show_default=True,
    help="Most images sent to the oracle that a kill can make dfa send again.",
)
@worker_options
@flag("--trace", section=RUN, type=click.Path(path_type=Path), help="Write the run's profile as a Chrome trace.")
@config_option
@preset_option
@objective_option
@setting_options(optimizer_settings(), unset=True)
def attack(
    out: Path | None,
    overwrite: bool,
    as_json: bool,
    dry_run: bool,
    pilot: int | None,
    **words: Any,
) -> int:
    """Attack every image of IMAGES, and keep what is found in a run folder."""
    check_arguments(click.get_current_context())
    if service_of(words["model"]) is not None:
        check_address(words["model"])  # before anything names it
    if pilot is not None and not dry_run:
        raise InvalidInputError("--pilot says how many images --dry-run attacks; add --dry-run")
    checkpoint, trace = words.pop("checkpoint"), words.pop("trace")
    held = {name: words.pop(name) for name in BAR_WORDS}
    # Not kept: who goes on with the run says it again.
    trust_pickle = words.pop("trust_pickle")
    workers = parse_workers(**{name: words.pop(name) for name in WORKER_WORDS})
    settings = {setting.name: words.pop(setting.name) for setting in run_settings()}
    fields = [setting.name for setting in optimizer_settings()]
    optimizer = {name: value for name in fields if (value := words.pop(name)) is not None}
    request = Request(**words, settings=settings, optimizer=optimizer, folder=str(Path.cwd()))
    if out is None:
        stem = re.sub(r"\W+", "-", Path(request.model).stem).strip("-")
        stamped = f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"
        # Two runs may begin within a second.
        names = itertools.chain([stamped], (f"{stamped}-{number}" for number in itertools.count(2)))
        out = next(folder for folder in map(Path("runs").joinpath, names) if not folder.exists())
    if dry_run:
        if workers is not None:
            raise InvalidInputError("--dry-run asks a service, which --workers do not; leave --workers out")
        return tell_forecast(
            request,
            out.with_name(f"{out.name}-pilot"),
            overwrite=overwrite,
            interval=checkpoint,
            as_json=as_json,
            pilot=pilot or DEFAULT_PILOT,
            trust_pickle=trust_pickle,
        )
    bar = Bar.of(**held, out=out)
    storage = dfa.Storage(out, overwrite=overwrite, interval=checkpoint, command=dataclasses.asdict(request))
    with interruptible(out):
        return run_request(
            request,
            storage,
            as_json,
            trace,
            trust_pickle=trust_pickle,
            workers=workers,
            bar=bar,
        )
