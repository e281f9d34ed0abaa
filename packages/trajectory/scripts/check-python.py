"""Opens a trajectory file with Python's msgpack alone and checks it against SPEC.md. Needs `pip install msgpack`. Run by hand."""
import array, sys, zlib
import msgpack

path = sys.argv[1]
counts, tokens_of = {}, {}
for kind, crc, body in msgpack.Unpacker(open(path, "rb"), raw=False):
    assert zlib.crc32(body) == crc, f"{path}: checksum of a {kind} record"
    record = msgpack.unpackb(body, raw=False)
    counts[kind] = counts.get(kind, 0) + 1
    if kind == "header":
        assert record["format"] == "axpo-trajectory" and record["version"] == 1, record
    if kind == "image":
        assert len(record["rgb"]) == record["width"] * record["height"] * 3
    if kind == "trajectory":
        own = array.array("i", record["tokens"]).tolist()
        parent = record["parent"]
        tokens = (tokens_of[parent["id"]][: parent["fork_token"]] if parent else []) + own
        assert len(tokens) == record["token_count"] == record["segments"][-1]["end"]
        assert len(array.array("f", record["logprobs"])) == len(own) == len(record["trainable"])
        tokens_of[record["id"]] = tokens
print(path, counts, "ok")
