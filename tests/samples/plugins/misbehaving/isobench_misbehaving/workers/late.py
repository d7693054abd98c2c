"""outputs.json and the facts in it, altered in single members."""

import json

from ways import each, way

NAN, INFINITE = float("nan"), float("inf")


def member(path, value):
    """A way that gives a member another value: `member("process.nice", "x")`."""

    def does(outputs):
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        for parent in parents:
            outputs = outputs[parent]
        outputs[last] = value

    return does


def deep(levels):
    return json.loads('{"a":' * levels + "1" + "}" * levels)


for number, (path, *values) in enumerate(
    (
        ("import_s", INFINITE, "soon", -1.0, True, [], 10**400),
        ("load_s", NAN, "x", -0.5, {}),
        ("first_inference_s", NAN, "x", 1e300),
        ("started_s", "x", NAN),
        ("timer_s", "x", NAN, -1.0),
        ("group", 0, -3, "a", 10**30, 1.5, None, True),
        ("sets", 0, "two", 1.5),
        ("warmup", 5, [1], {"a": 1}, "warm"),
        ("warmup.iterations", 0, -1, "x", 2.5, None),
        ("warmup.wall_s", NAN, "x", -1.0),
        ("warmup.settled", "maybe", 5),
        ("warmup.curve", 5, [[1]], [["a", "b"]], [[1, NAN]], [[1, -1.0]], [[1, 2, 3]], {"a": 1}),
        ("blocks", 5, {"a": 1}, [5], [{}], [None], "many"),
        ("blocks.0.samples", -5, 0, 3.5, "x", None, 10**30),
        ("blocks.0.iterations", 0, -1, "x", 7),
        ("blocks.0.wall_s", NAN, INFINITE, 0, -1.0, "x", None),
        ("blocks.0.started_s", NAN, "x"),
        ("blocks.0.cpu_others_s", NAN, -1.0),
        ("blocks.0.minor_faults", -1, 1.5, "x"),
        ("blocks.0.frequency_mhz", "fast", NAN, -5.0),
        ("blocks.0.gpu", {"a": 1}, "H100", 5, {"enqueue_s": NAN, "inferences": 3}, {"enqueue_s": 1.0, "inferences": 0}),
        ("threads", "many", [1, 2], 4, None),
        ("threads.requested", "many", -1, NAN, [1]),
        ("threads.runtime", "many", {}, -2),
        ("facts", [1], "x", 5, None, deep(900)),
        ("facts.x", NAN, INFINITE, 10**400, deep(100), "z" * 3_000_000),
        ("facts.compile_s", "long", -1.0, NAN, []),
        ("facts.gpu", 5, "H100"),
        ("facts.graphs", "none", -1),
        ("facts.weights_sha256", 5, ["a"]),
        ("process", [1], None, "x", deep(900)),
        ("process.peak_memory_bytes", "much", -1, NAN, 1.5),
        ("process.affinity", ["a", {}], 5, [-1], [[0]], "0-3"),
        ("process.nice", "x", 99, 1.5),
        ("process.memory_nodes", ["a"], 5),
        ("process.cpu_resolution_s", "x", NAN, -1.0),
        ("process.environment", [1], {"A": 5}),
        ("process.native_libraries", {"a": 1}, ["x"]),
        ("process.more", NAN, deep(100)),
        ("latency_s", ["a"], [NAN], [INFINITE], [-0.001], [True], [[0.1]], {"a": 1}, 5, None, [1e300]),
        ("more", NAN, deep(100)),
    )
):
    for place, value in enumerate(values):
        name = f"member_{path.replace('.', '_')}_{place}"
        each("late", "protocol", says="malformed outputs|left no measurement", **{name: member(path, value)})


@way("late", "protocol", says="there are no samples")
def latency_nothing(outputs):
    del outputs["blocks"]
    outputs["latency_s"] = [0.0]


@way("late", "protocol", says="there are no samples")
def latency_rounded_to_nothing(outputs):
    del outputs["blocks"]
    outputs["latency_s"] = [1e-12]


@way("late", "ok")
def latency_good(outputs):
    del outputs["blocks"]
    outputs["latency_s"] = [0.001] * 200


@way("late", "protocol")
def blocks_one_missing(outputs):
    outputs["blocks"] = outputs["blocks"][1:]
    outputs["blocks"] = outputs["blocks"] or [{**outputs, "samples": 1}]


@way("late", "protocol", says="each block must have")
def group_of_another_size(outputs):
    outputs["group"] += 1


@way("late", "protocol")
def status_unknown(outputs):
    outputs["status"] = "fine"


@way("late", "protocol")
def status_error_alone(outputs):
    outputs["status"] = "error"


@way("late", "protocol")
def status_number(outputs):
    outputs["status"] = 5


@way("late", "protocol")
def error_text(outputs):
    outputs.update(status="error", error="bad")


@way("late", "exception")
def error_empty(outputs):
    outputs.update(status="error", error={})


@way("late", "exception")
def error_wrong_types(outputs):
    outputs.update(status="error", error={"type": 5, "message": [1], "traceback": {"a": 1}, "hint": None, "kind": 7})


@way("late", "refused")
def error_of_kind_ok(outputs):
    outputs.update(status="error", error={"kind": "ok", "message": "all is well"})


@way("late", "protocol")
def schema_other(outputs):
    outputs["schema"] = "other/9"


@way("late", "protocol")
def schema_list(outputs):
    outputs["schema"] = [1]


@way("late", "ok")
def members_missing(outputs):
    for name in ("started_s", "import_s", "load_s", "warmup", "timer_s", "threads", "facts", "process"):
        del outputs[name]


@way("late", "ok")
def members_more(outputs):
    outputs.update({"raw": 5, "crash": "no", "more": {"a": [1]}, "\x1b[31m": "x"})


@way("late", "ok")
def facts_ansi(outputs):
    outputs["facts"]["note"] = "\x1b]0;PWNED\x07\x1b[31mred\nline \ud800"


@way("facts", "exception")
def facts_nan(facts):
    facts["x"] = NAN


@way("facts", "exception")
def facts_bytes(facts):
    facts["x"] = b"abc"


@way("facts", "exception")
def facts_circle(facts):
    facts["x"] = facts
