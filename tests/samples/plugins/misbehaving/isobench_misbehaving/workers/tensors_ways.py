"""Outputs that aren't the model's: other types, sizes, names, values."""

import protocol
from ways import each, way


def changed(**members):
    def does(found):
        found[0] = found[0]._replace(**members)

    return does


each(
    "tensors",
    "protocol",
    says="outputs can't be read",
    tensor_unknown_type=changed(dtype="quaternion"),
    tensor_list_as_type=changed(dtype=["float32"]),
    tensor_no_type=changed(dtype=None),
    tensor_negative_size=changed(shape=(-1, -4)),
    tensor_float_size=changed(shape=(2.0, 2.0)),
    tensor_text_size=changed(shape=("a",)),
    tensor_true_size=changed(shape=(True, 4)),
    tensor_no_sizes=changed(shape=None),
    tensor_number_as_sizes=changed(shape=4),
    tensor_wide_size=changed(shape=(2**62, 2**62)),
    tensor_no_name=changed(name=None),
    tensor_number_as_name=changed(name=5),
    tensor_text_as_data=changed(data="a" * 16),
    tensor_no_data=changed(data=None),
    tensor_short=changed(data=bytes(15)),
    tensor_long=changed(data=bytes(17)),
    tensor_empty=changed(data=b""),
    tensor_strings_cut=changed(dtype="string", shape=(2,), data=b"\xff\xff\xff\xff"),
)
each(
    "tensors",
    "wrong-outputs",
    tensor_other_shape=changed(shape=(4,)),
    tensor_other_type=changed(dtype="int32"),
    tensor_nan=changed(data=b"\x00\x00\xc0\x7f" * 4),
    tensor_infinite=changed(data=b"\x00\x00\x80\x7f" * 4),
    tensor_zeros=changed(data=bytes(16)),
    tensor_other_name=changed(name="z"),
    tensor_ansi_name=changed(name="\x1b[31mevil\x1b[0m\nline 2"),
    tensor_long_name=changed(name="y" * 1_000_000),
)


@way("tensors", "exception", says="no outputs")
def tensor_raises(_found):
    raise KeyError("no outputs")


@way("tensors", "disk-full")
def tensor_disk_full(_found):
    raise OSError(28, "No space left on device")


@way("tensors", "not-compared")
def tensor_missing(found):
    found.clear()


@way("tensors", "wrong-outputs")
def tensor_more(found):
    found.append(protocol.Tensor("more", "float32", (1,), bytes(4)))


@way("tensors", "ok")
def tensor_twice(found):
    found.append(found[0])


@way("tensors", "wrong-outputs")
def tensor_many(found):
    found += [protocol.Tensor(f"t{number}", "uint8", (1,), b"\0") for number in range(100_000)]


@way("tensors", "protocol", says="must have at most")
def tensor_huge(found):
    found.append(protocol.Tensor("huge", "uint8", (1 << 28,), bytes(1 << 28)))
