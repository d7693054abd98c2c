"""The keys of a suite file. The reader, the JSON Schema and the documentation are made from these declarations."""

from __future__ import annotations

from functools import cache

from isobench.planning import suite_values
from isobench.planning.settings import OPTIONS
from isobench.planning.suite import AS_WRITTEN, RANDOM, SCHEMA
from isobench.planning.suite_forms import Choice, Integer, OptionValue, Scalar, Several, Shape, Switch, Text, Words
from isobench.planning.suite_tables import Axes, Key, Record, Table, TextOr

ARGUMENTS = Table(Scalar(), "a table of arguments such as { spinning = false }", argument=True)
TEXTS = Table(Text(digits=True), 'a table of texts such as { name = "text" }')

GIVEN = (
    Key(
        name="script-args",
        form=Words(),
        about='Arguments of scripts: "--batch-size {batch}", split as in a shell, or a list of words.',
    ),
    Key(
        name="dim",
        form=Table(Integer(fills=True), "a table of sizes such as { batch = 8 }"),
        about='Dynamic dimensions of .onnx files: { batch = 8 }, or { batch = "{batch}" } from the matrix.',
    ),
    Key(
        name="shape",
        form=Table(Shape(), "a table of shapes such as { image = [1, 3, 224, 224] }"),
        about="Shapes of the inputs of .onnx files: { image = [1, 3, 224, 224] }.",
    ),
    Key(
        name="inputs",
        form=Several(Text(), "file"),
        about='Files with the values of inputs, as --inputs takes them: ["x.npz", "mask=mask.npy"].',
    ),
    Key(name="fill", form=TEXTS, about='Rules for the values of single inputs: { mask = "ones" }.'),
    Key(name="env", form=TEXTS, about='Environment variables for the workers: { MODEL_WIDTH = "512" }.'),
    Key(name="labels", form=TEXTS, about='Your own labels of the results: { team = "vision" }.'),
)
"""What is given to all models, or by a model's own table to its models."""

RUNTIME = Record(
    (
        Key(name="name", form=Text(), about="The runtime: ort, openvino, torch-eager, ...", required=True),
        Key(name="environment", form=Text(), about="The environment that replaces the runtime's own."),
        Key(name="args", form=ARGUMENTS, about="Arguments of the runtime: { spinning = false }."),
    )
)
RUNTIMES = Key(
    name="runtimes",
    form=Several(
        TextOr(Text(), RUNTIME),
        "runtime",
    ),
    about='Runtimes: "ort", "ort:spinning=false", or tables with name, environment, args.',
)
MATRIX = Key(
    name="matrix",
    form=Axes(),
    about="Axes, each with its values. A task is made for each combination. An axis fills {axis} in texts, or sets the "
    "setting or the runtimes' argument of its name.",
)
MODEL = Record(
    (
        Key(
            name="path",
            form=Text(),
            about="A script (model.py, or model.py::HASH for one of its models), an .onnx file, a glob, a .txt list.",
            required=True,
        ),
        *GIVEN,
        MATRIX,
        RUNTIMES,
    )
)


def _conditions(about: str, name: str) -> Key:
    pattern = Several(Text(), "pattern")
    form = Record(
        (
            Key(name="model", form=pattern, about="A model's name or path, or a pattern such as bert*."),
            Key(name="runtime", form=pattern, about="A runtime's name or label (ort:spinning=false), or a pattern."),
            Key(name="device", form=pattern, about="A device, or a pattern."),
        ),
        axes=True,
    )
    return Key(name=name, form=Several(form, "table"), about=about)


ABOVE = dict.fromkeys(
    (
        "name",
        "models",
        "runtimes",
        "device",
        "devices",
        "repeat",
        "order",
        "order-seed",
        "interleave",
        "executor",
        "attempts",
    ),
    "It is a key of the top level: write it above the first [table].",
)
"""What is said about a key that stands in a table because the table's header is above it."""

SETTINGS = Key(
    name="settings",
    form=Record(
        tuple(
            Key(
                name=suite_values.name(option),
                form=OptionValue(option),
                about=option.help + (f" Default: {option.unset}." if option.unset else ""),
                default=option.default if option.default != () else None,
            )
            for option in OPTIONS.values()
        ),
        hints=ABOVE,
    ),
    about="How each case is built and measured: the options of isobench run, without dashes in front.",
)

TOP = (
    Key(name="schema", form=Choice((SCHEMA,)), about="The format of the file, and its version.", required=True),
    Key(
        name="name",
        form=Text('made of letters, digits, ".", "_" and "-"', r"[A-Za-z0-9][A-Za-z0-9._\-]*"),
        about="The name of the suite; its sweeps are called NAME-TIME. Default: the file's name.",
    ),
    Key(
        name="models",
        form=Several(TextOr(Text(), MODEL), "model"),
        about="What is measured: scripts, .onnx files, globs and lists of them, as texts or as tables [[models]].",
        required=True,
    ),
    RUNTIMES,
    Key(name="device", form=Text(), about="The device, as --device takes it: cpu, x86, nvidia, ...", default="x86"),
    Key(name="devices", form=Several(Text(), "device"), about="Several devices: each task is made for each of them."),
    SETTINGS,
    Key(name="rt-args", form=ARGUMENTS, about="Arguments of all runtimes; those of a runtime take precedence."),
    *GIVEN,
    Key(
        name="select-labels",
        form=Several(Text(), "label"),
        about='Only scripts that carry these labels on their first line: ["task::nlp"].',
    ),
    MATRIX,
    _conditions("Combinations of the matrix that are left out: { batch = 32, runtime = 'openvino' }.", "exclude"),
    _conditions(
        "Combinations that are added: each table is a matrix of its own, whose axes replace those of [matrix].",
        "include",
    ),
    Key(
        name="repeat",
        form=Integer(least=1),
        about="How often each task is measured; the repeats are spread.",
        default=1,
    ),
    Key(
        name="order",
        form=Choice((AS_WRITTEN, RANDOM)),
        about="The order of the tasks: as written, or random.",
        default=AS_WRITTEN,
    ),
    Key(name="order-seed", form=Integer(least=0), about="The seed of the random order.", default=0),
    Key(
        name="interleave",
        form=Switch(),
        about="Measure each model on all of its runtimes block by block, in one task.",
        default=False,
    ),
    Key(name="executor", form=Text(), about="What carries the sweep out: local, slurm, ...", default="local"),
    Key(
        name="attempts",
        form=Integer(least=1),
        about="How often a task is tried whose node or process is lost.",
        default=2,
    ),
)
"""The keys of the top level. Beside them there may be a table for each executor: [slurm]."""

TOP_HINTS = {
    suite_values.name(option): "It is a setting: write it under [settings]." for option in OPTIONS.values()
} | {
    "rt-arg": "Arguments of all runtimes are rt-args.",
    "args": "Arguments of all runtimes are rt-args; those of one are in its own table.",
    "label": "select-labels chooses scripts by their labels; labels are put into the results.",
    "order-by": "The order is as-written or random.",
}
"""What is said about some keys that don't belong to the top level."""

EXECUTOR = Table(Scalar(), "a table of the executor's options")


@cache
def executor_key(name: str) -> Key:
    """The key of an executor's own table."""
    return Key(name=name, form=EXECUTOR, about=f"Options of the executor {name}, which checks them.")
