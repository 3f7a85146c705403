#!/usr/bin/env python3
"""Adds a hypervisor's records to layouts.txt, or measures them anew.

    python3 make_table.py 4.23 INCLUDE x86_64=gcc aarch64=aarch64-linux-gnu-gcc

INCLUDE is a folder in which Xen's public headers are called xen/*.h (`make -C tools/include` of Xen's sources makes one;
/usr/include with Debian's libxen-dev is another). They are compiled for each architecture, with what compiler stands there,
and every record is read from the debug information. So the table needs gcc and binutils, and nothing is run.

A line is `NAME WHERE SIZE FIELD...`: a structure, or `union/NAME` or `typedef/NAME`; where the layout holds; and
`path@offset:size`, or `path@offset=RECORD` where the fields are those of another record of the table. Bit-fields are left
out, as C cannot tell their offsets either; of a structure that has some, `path@offset` may tell where it begins.
`value/NAME WHERE VALUE` is a constant that changes from version to version.
"""

import collections
import pathlib
import re
import subprocess
import sys
import tempfile

TABLE = pathlib.Path(__file__).with_name("layouts.txt")
ARCHITECTURES = ["x86_64", "aarch64"]
CONSTANTS = ["XEN_DOMCTL_INTERFACE_VERSION", "XEN_SYSCTL_INTERFACE_VERSION", "VM_EVENT_INTERFACE_VERSION"]
CONSTANTS += ["XEN_DOMCTL_CDF_trap_unmapped_accesses", "XEN_DOMCTL_get_domain_state"]
CONSTANTS += [f"XEN_DOMCTL_GETDOMSTATE_STATE_{state}" for state in ["EXIST", "SHUTDOWN", "DYING", "DEAD"]]
CONSTANTS += [f"XEN_DOMCTL_GETDOMSTATE_CAP_{cap}" for cap in ["CONTROL", "HARDWARE", "XENSTORE"]]
OTHER_HEADERS = r"(arch-|xen-x86_32|dom0_ops|evtchn\.h|gntdev|gntalloc|privcmd)"
LEFT_OUT = r"compat|__HVM_SAVE_TYPE|max_align_t|__fsid_t|xen_multiboot|__guest_handle|__xen_guest_handle"


def debug_information(include, architecture, compiler):
    """The entries of the debug information by their numbers: (tag, attributes, children)."""
    folders = ["xen", "xen/hvm", "xen/xsm"] + ["xen/arch-x86", "xen/arch-x86/hvm"] * (architecture == "x86_64")
    headers = [header for folder in folders for header in sorted((include / folder).glob("*.h"))]
    headers = [header for header in headers if not re.match(OTHER_HEADERS, header.name)]
    program = "#include <stdint.h>\n#include <stddef.h>\n"
    program += "".join(f"#include <{header.relative_to(include)}>\n" for header in headers)
    program += "".join(f"#ifdef {name}\nchar value_{name}[{name}];\n#endif\n" for name in CONSTANTS)
    with tempfile.TemporaryDirectory() as folder:
        command = [compiler, "-c", "-g", "-gdwarf-5", "-fno-eliminate-unused-debug-types", "-ffreestanding"]
        command += ["-D__XEN_TOOLS__", f"-I{include}", "-xc", "-", f"-o{folder}/headers.o"]
        subprocess.run(command, input=program, text=True, check=True)
        readelf = ["readelf", "--debug-dump=info", f"{folder}/headers.o"]
        dump = subprocess.run(readelf, capture_output=True, text=True, check=True).stdout
    entries, parents = {}, []
    for line in dump.splitlines():
        if begin := re.match(r" <(\w+)><(\w+)>: Abbrev Number: \d+ \(DW_TAG_(\w+)\)", line):
            depth, entry = int(begin[1], 16), (begin[3], {}, [])
            entries[int(begin[2], 16)] = entry
            del parents[depth:]
            if parents:
                parents[-1][2].append(entry)
            parents.append(entry)
        elif attribute := re.match(r" +<\w+> +DW_AT_(\w+) *: (?:\(.*?\): )?(.*)", line):
            parents[-1][1][attribute[1]] = attribute[2].strip()
    return entries


def measure(entries):
    """Size and fields of each record: (path, offset, size) of every field that has no fields of its own.

    Constants come as records without fields.
    """

    def kind(attributes):
        entry = entries[int(attributes["type"].strip("<>"), 16)] if "type" in attributes else ("void", {}, [])
        if entry[1].get("name", "").startswith("__guest_handle"):
            return "guest_handle", {"byte_size": 8}, []  # an address, which C dresses up as a structure
        return kind(entry[1]) if entry[0] in ("typedef", "const_type", "volatile_type") else entry

    def size(entry):
        tag, attributes, children = entry
        if tag == "array_type":
            length = 1
            for dimension in children:
                length *= int(dimension[1].get("upper_bound", -1)) + 1
            return length * size(kind(attributes))
        return int(attributes.get("byte_size", 0))

    def fields(entry, prefix, base):
        for tag, attributes, _ in entry[2]:
            if tag != "member":
                continue
            path = ".".join(filter(None, [prefix, attributes.get("name")]))
            offset = base + int(attributes.get("data_member_location", 0))
            of = kind(attributes)
            if "bit_size" in attributes:
                if prefix:
                    yield prefix, base + int(attributes.get("data_bit_offset", 0)) // 8, None
            elif of[0] in ("structure_type", "union_type"):
                yield from fields(of, path, offset)
            else:
                yield path, offset, size(of) or None  # a flexible array has no size

    records = {}
    for tag, attributes, children in entries.values():
        name = attributes.get("name", "")
        if tag == "variable" and name.startswith("value_"):
            records[name.replace("_", "/", 1)] = (size(kind(attributes)), ())
            continue
        if tag == "typedef" and (of := kind(attributes))[0] == "structure_type" and "name" not in of[1]:
            name, (tag, attributes, children) = f"typedef/{name}", of
        elif tag == "union_type" and name:
            name = f"union/{name}"
        elif tag != "structure_type":
            continue
        if name and "byte_size" in attributes and not re.search(LEFT_OUT, name):
            found = dict.fromkeys(fields((tag, attributes, children), "", 0))
            records[name] = (int(attributes["byte_size"]), tuple(found))
    return records


def fold(name, fields, names):
    """Replaces runs of fields that are together some other record by its name."""
    groups = collections.defaultdict(list)
    for path, offset, size in fields:
        parts = path.split(".")
        for depth in range(1, len(parts)):
            groups[".".join(parts[:depth])].append((".".join(parts[depth:]), offset, size))
    folded = {}
    for prefix, group in groups.items():
        base = min(offset for _, offset, _ in group)
        same = names.get(tuple((path, offset - base, size) for path, offset, size in group), [])
        same = [other for other in same if other != name]
        # of records that are alike, the one that is called like the field
        same.sort(key=lambda other: (not other.endswith(prefix.split(".")[-1]), len(other), other))
        if same and len(group) > 1:
            folded[prefix] = f"{prefix}@{base}={same[0]}"
    text = []
    for path, offset, size in fields:
        prefix = next((it for it in sorted(folded, key=len) if path.startswith(f"{it}.")), None)
        text.append(folded[prefix] if prefix else f"{path}@{offset}" + (f":{size}" if size else ""))
    return list(dict.fromkeys(text))


def read(table):
    """The versions, and the places of every layout of every record."""
    heading, *rest = table.read_text().splitlines()
    minors = [int(version.split(".")[1]) for version in heading.split()[1:]]
    lines = collections.defaultdict(lambda: collections.defaultdict(set))
    for line in rest:
        name, where, layout = line.split(" ", 2)
        for part in where.split(";"):
            architectures, _, ranges = part.rpartition(":")
            for run in ranges.split(","):
                first, _, last = run.replace("4.", "").partition("-")
                for minor in minors:
                    if run == "*" or int(first) <= minor <= int(last or first):
                        for architecture in [architectures] if architectures else ARCHITECTURES:
                            lines[name][layout].add((architecture, minor))
    return minors, lines


def ranges(minors, all_minors):
    """4.14-4.16,4.18 for [14, 15, 16, 18]; * for all."""
    if minors == all_minors:
        return "*"
    runs = []
    for minor in minors:
        if runs and minor == runs[-1][1] + 1:
            runs[-1][1] = minor
        else:
            runs.append([minor, minor])
    return ",".join(f"4.{first}" if first == last else f"4.{first}-4.{last}" for first, last in runs)


def write(minors, lines):
    text = ["# " + " ".join(f"4.{minor}" for minor in minors)]
    for name in sorted(lines):
        for layout, places in sorted(lines[name].items(), key=lambda it: sorted((m, a) for a, m in it[1])):
            held = {a: ranges([minor for minor in minors if (a, minor) in places], minors) for a in ARCHITECTURES}
            if len(set(held.values())) == 1:
                where = held[ARCHITECTURES[0]]
            else:
                where = ";".join(f"{a}:{held[a]}" for a in ARCHITECTURES if held[a])
            if where:
                text.append(f"{name} {where} {layout}")
    TABLE.write_text("\n".join(text) + "\n")


def main(version, include, *compilers):
    minors, lines = read(TABLE)
    minor = int(version.removeprefix("4."))
    minors = sorted({*minors, minor})
    for architecture, compiler in (it.split("=", 1) for it in compilers):
        for layouts in lines.values():
            for places in layouts.values():
                places.discard((architecture, minor))
        records = measure(debug_information(pathlib.Path(include), architecture, compiler))
        names = collections.defaultdict(list)
        for name, (_, fields) in records.items():
            names[fields].append(name)
        for name, (size, fields) in records.items():
            layout = " ".join([str(size), *fold(name, fields, names)])
            lines[name][layout].add((architecture, minor))
    write(minors, lines)


main(*sys.argv[1:])
