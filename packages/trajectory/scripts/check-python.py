"""Reads a trajectory file with Python's msgpack alone and checks every rule of SPEC.md; without an argument the golden file, and its values too.
Needs `python3 -m pip install msgpack`. Run by hand: python3 scripts/check-python.py [FILE]"""
import array, math, pathlib, re, sys, zlib
import msgpack

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden" / "v1.msgpack"
SAMPLED = {"prompt": 0, "think": 1, "act": 1, "observe": 0, "answer": 1, "failure": 1}
FINISHES = {"answer", "length", "turns", "invalid-calls"}
STATUSES = {"ok", "invalid-json", "unknown-tool", "bad-arguments", "timeout", "failed"}
TYPES = {"i": "tokens", "f": "logprobs entropies", "B": "trainable"}


def must(rule, what, got):
    if not rule:
        sys.exit(f"{path}: record {sum(counts.values())}: {what}, got {got!r}")


def uint(value, what):
    must(type(value) is int and value >= 0, f"{what} must be a whole number from 0", value)


def sha256(value, what):
    must(type(value) is str and re.fullmatch("[0-9a-f]{64}", value), f"{what} must be 64 hex digits", value)


def elements(record, name):
    """A bin field as numbers; little-endian whatever the machine."""
    code = next(c for c, names in TYPES.items() if name in names.split())
    must(type(record[name]) is bytes, f"{name} must be bin", record[name])
    values = array.array(code)
    must(len(record[name]) % values.itemsize == 0, f"{name} must be whole elements", len(record[name]))
    values.frombytes(record[name])
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()


def check_segments(segments, trainable):
    at = 0
    for s in segments:
        must(s["kind"] in SAMPLED, "a segment's kind must be a known one", s["kind"])
        must(s["start"] == at <= s["end"], f"a segment must start at {at}", s)
        sampled = SAMPLED[s["kind"]]
        must(set(trainable[at : s["end"]]) <= {sampled}, f"tokens of {s['kind']} must have trainable {sampled}", s)
        must(at == s["end"] or (s["weight_version"] >= 0) == bool(sampled), "weight_version", s)
        must("call" not in s or s["kind"] == "act", "only an act segment may carry a call", s)
        if "call" in s:
            call = s["call"]
            must(call["status"] in STATUSES, "a call's status must be a known one", call)
            must(type(call["arguments"]) is type(call["observation"]) is str, "a call's texts must be str", call)
            must(call["name"] is None or type(call["name"]) is str, "a call's name must be str or nil", call)
            if call["image"] is not None:
                sha256(call["image"], "a call's image")
        at = s["end"]
    must(at == len(trainable), f"segments must end at {len(trainable)}", at)


def check_images(images, tokens):
    at = 0
    for i in images:
        start, count = i["token_start"], i["token_count"]
        must(i["sha256"] in pixels, "an image must be stored before its trajectory", i["sha256"])
        must(at <= start and count >= 1 and start + count <= len(tokens), "image runs must lie in order", i)
        must(len(set(tokens[start : start + count])) == 1, "an image run must repeat one token", i)
        at = start + count


def check_trajectory(record):
    for name in ("id", "question_id", "family", "split"):
        must(type(record[name]) is str, f"{name} must be str", record[name])
    for name in ("step", "question", "sample", "token_count"):
        uint(record[name], name)
    must(record["answer"] is None or type(record["answer"]) is str, "answer must be str or nil", record["answer"])
    must(type(record["reward"]) in (int, float) and math.isfinite(record["reward"]), "reward", record["reward"])
    must(record["finish"] in FINISHES, "finish must be a known one", record["finish"])
    own = {name: elements(record, name) for name in ("tokens", "logprobs", "entropies", "trainable")}
    for name, values in own.items():
        must(len(values) == len(own["tokens"]), f"{name} must have {len(own['tokens'])} elements", len(values))
    whole, parent = own, record["parent"]
    if parent:
        source = trajectories.get(parent["id"])
        must(source and source[0]["step"] == record["step"], "parent must be before it in its step", parent)
        must(1 <= parent["fork_token"] <= len(source[1]["tokens"]), "fork_token must lie in the parent", parent)
        whole = {name: source[1][name][: parent["fork_token"]] + values for name, values in own.items()}
    must(len(whole["tokens"]) == record["token_count"], "token_count", record["token_count"])
    for t, p, e, sampled in zip(*(whole[name] for name in ("tokens", "logprobs", "entropies", "trainable"))):
        must(t >= 0 and math.isfinite(p) and p <= 0 and math.isfinite(e), "a token's numbers", (t, p, e))
        must(sampled or p == e == 0, "a token that was not sampled must carry zeros", (t, p, e))
    check_segments(record["segments"], whole["trainable"])
    check_images(record["images"], whole["tokens"])
    trajectories[record["id"]] = (record, whole)


def check_golden():
    """What the writer was given, field by field."""
    must(counts == {"header": 1, "image": 1, "trajectory": 2, "meta": 1}, "records", counts)
    must(header == {"format": "axpo-trajectory", "version": 1, "run": "golden", "seed": 7}, "header", header)
    must(pixels == {"a1" * 32: (3, 2, bytes(i * 14 for i in range(18)))}, "image", pixels)
    must(metas == [{"step": 2, "accuracy": 0.5}], "meta", metas)
    trainable = [0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1]
    call = {"name": "image_zoom_in_tool", "arguments": '{"bbox_2d":[0,0,250,250],"img_idx":0,"label":""}'}
    call |= {"status": "ok", "observation": "", "image": "a1" * 32}
    spans = [("prompt", 0, 4, -1), ("think", 4, 6, 3), ("act", 6, 9, 3), ("observe", 9, 12, -1), ("answer", 12, 14, 3)]
    segments = [dict(zip(("kind", "start", "end", "weight_version"), span)) for span in spans]
    segments[2]["call"] = call
    for sample, shift, parent in ((0, 0, None), (1000, 1, {"id": "7-2-zoom-test-5-0", "fork_token": 7})):
        record, whole = trajectories[f"7-2-zoom-test-5-{sample}"]
        tokens = [1, 498, 498, 2, 30, 31, 500, 40, 501, 8, 498, 9, 50 + shift, 3]
        must(whole["tokens"] == tokens, "tokens", whole["tokens"])
        must(whole["trainable"] == trainable, "trainable", whole["trainable"])
        must(whole["logprobs"] == [-(i + 1) / 8 * t for i, t in enumerate(trainable)], "logprobs", whole["logprobs"])
        must(whole["entropies"] == [i / 16 * t for i, t in enumerate(trainable)], "entropies", whole["entropies"])
        must(len(record["entropies"]) == 4 * (7 if parent else 14), "bytes of entropies", len(record["entropies"]))
        must(record["segments"] == segments, "segments", record["segments"])
        runs = [{"sha256": "a1" * 32, "token_start": s, "token_count": n} for s, n in ((1, 2), (10, 1))]
        must(record["images"] == runs, "images", record["images"])
        expected = {"question_id": "zoom-test-5", "family": "zoom", "split": "test", "step": 2, "question": 11}
        expected |= {"sample": sample, "parent": parent, "answer": str(shift), "reward": shift, "finish": "answer"}
        for name, value in expected.items():
            must(record[name] == value and type(record[name]) is type(value), f"{name} must be {value!r}", record[name])


path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN
counts, header, pixels, metas, trajectories = {}, None, {}, [], {}
with open(path, "rb") as file:
    unpacker = msgpack.Unpacker(file, raw=False, max_buffer_size=2**32 - 1)
    for kind, crc, body in unpacker:
        must(counts or kind == "header", "the first record must be a header", kind)
        must(zlib.crc32(body) == crc, "checksum", crc)
        record = msgpack.unpackb(body, raw=False)
        counts[kind] = counts.get(kind, 0) + 1
        if kind == "header":
            header = record
            must(record["format"] == "axpo-trajectory" and record["version"] == 1, "format and version", record)
        elif kind == "image":
            sha256(record["sha256"], "sha256")
            must(len(record["rgb"]) == record["width"] * record["height"] * 3, "bytes of rgb", len(record["rgb"]))
            pixels[record["sha256"]] = (record["width"], record["height"], record["rgb"])
        elif kind == "trajectory":
            if any(r["step"] != record["step"] for r, _ in list(trajectories.values())[-1:]):
                trajectories.clear()
            check_trajectory(record)
        elif kind == "meta":
            metas.append(record)
        whole = unpacker.tell()
must(counts, "a file must hold a header", counts)
must(whole == path.stat().st_size, "a file must end where a record does", f"a torn tail at byte {whole}")
if path.resolve() == GOLDEN:
    check_golden()
print(path, counts, "ok, values too" if path.resolve() == GOLDEN else "ok")
