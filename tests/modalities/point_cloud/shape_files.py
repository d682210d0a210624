"""Small shapes in real formats."""

import struct

import numpy as np

TETRAHEDRON = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def cloud(n=50, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)


def ply(points, faces=(), kind="ascii", colours=False):
    """A PLY's bytes: x y z, a colour after them if wanted, and faces."""
    order = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}[kind]
    lines = ["ply", f"format {kind} 1.0", "comment made by a test", f"element vertex {len(points)}"]
    lines += [f"property float {axis}" for axis in "xyz"]
    lines += [f"property uchar {c}" for c in ("red", "green", "blue") if colours]
    if len(faces):
        lines += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    head = "\n".join([*lines, "end_header", ""]).encode()
    tint = (255, 0, 9) if colours else ()
    if kind == "ascii":
        rows = [" ".join(map(str, [*p, *tint])) for p in points.tolist()]
        rows += [" ".join(map(str, [len(f), *f])) for f in faces]
        return head + "\n".join([*rows, ""]).encode()
    body = b"".join(struct.pack(f"{order}3f{len(tint)}B", *p, *tint) for p in points.tolist())
    return head + body + b"".join(struct.pack(f"{order}B{len(f)}i", len(f), *f) for f in faces)


def pcd(points, kind="ascii"):
    head = (
        "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z rgb\nSIZE 4 4 4 4\nTYPE F F F U\nCOUNT 1 1 1 1\n"
        f"WIDTH {len(points)}\nHEIGHT 1\nPOINTS {len(points)}\nDATA {kind}\n"
    ).encode()
    if kind == "ascii":
        return head + "\n".join(f"{x} {y} {z} 7" for x, y, z in points.tolist()).encode()
    if kind == "binary":
        return head + b"".join(struct.pack("<3fI", *p, 7) for p in points.tolist())
    columns = points.T.astype("<f4").tobytes() + struct.pack("<I", 7) * len(points)
    packed = b"".join(
        bytes([len(part) - 1]) + part
        for part in (columns[i : i + 32] for i in range(0, len(columns), 32))
    )
    return head + struct.pack("<II", len(packed), len(columns)) + packed


def off(points, faces):
    rows = [" ".join(map(str, p)) for p in points.tolist()]
    rows += [" ".join(map(str, [len(f), *f])) for f in faces]
    return "\n".join(["OFF", f"{len(points)} {len(faces)} 0", *rows, ""]).encode()


def obj(points, faces):
    rows = [f"v {x} {y} {z}" for x, y, z in points.tolist()]
    rows += ["f " + " ".join(f"{i + 1}/1/1" for i in f) for f in faces]
    return "\n".join(["# made by a test", *rows, ""]).encode()


def xyz(points):
    return "\n".join(" ".join(map(str, p)) for p in points.tolist()).encode()
