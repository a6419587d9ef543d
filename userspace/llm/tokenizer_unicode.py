#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tokenizer_unicode_table.h from Python's Unicode database."""
import sys
import unicodedata

SPACES = {0x20, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}
SPACES |= set(range(0x09, 0x0E)) | set(range(0x2000, 0x200B))
CLASSES = {"L": 1, "N": 2, "P": 4, "C": 5}


def klass(cp):
    if cp in SPACES:
        return 3
    category = unicodedata.category(chr(cp))
    return 6 if category == "Mn" else CLASSES.get(category[0], 0)


def class_rows():
    last = None
    for cp in range(0x110000):
        k = klass(cp)
        if k != last:
            yield cp << 3 | k
            last = k


CASES = {"Lu": 1, "Lt": 1, "Ll": 2, "Lm": 3, "Lo": 3, "Mn": 3, "Mc": 3, "Me": 3}


def case_rows():
    last = None
    for cp in range(0x110000):
        k = CASES.get(unicodedata.category(chr(cp)), 0)
        if k != last:
            yield cp << 2 | k
            last = k


def folded(cp):
    """What is left of a letter without its accents and its case."""
    if 0xAC00 <= cp <= 0xD7A3 or 0xD800 <= cp <= 0xDFFF:
        return cp
    return ord(unicodedata.normalize("NFD", chr(cp))[0].lower()[0])


def fold_rows():
    """(first, count, to, mode): to one letter, to as many, every second to as many."""
    table = {cp: folded(cp) for cp in range(0x110000)}
    todo = sorted(cp for cp, to in table.items() if to != cp)
    i = 0
    while i < len(todo):
        runs = []
        for mode, (stride, step) in enumerate(((1, 0), (1, 1), (2, 2))):
            j = i
            while (j + 1 < len(todo) and j - i < 255 and todo[j + 1] == todo[j] + stride
                   and table[todo[j + 1]] == table[todo[j]] + step):
                j += 1
            runs.append((j - i, mode))
        count, mode = max(runs, key=lambda r: r[0])
        yield todo[i] << 8 | count, table[todo[i]] << 2 | mode
        i += count + 1


def main():
    print("/* SPDX-License-Identifier: MIT */")
    print("/* Unicode %s, written by tokenizer_unicode.py. */" % unicodedata.unidata_version)
    print("\n/* Code point << 3 | enum tok_class; an entry holds up to the next one. */")
    print("static const uint32_t class_table[] = {")
    rows = list(class_rows())
    for i in range(0, len(rows), 8):
        print("\t" + " ".join("0x%x," % r for r in rows[i:i + 8]))
    print("};\n")
    print("/* Code point << 2 | enum tok_case; likewise. */")
    print("static const uint32_t case_table[] = {")
    rows = list(case_rows())
    for i in range(0, len(rows), 8):
        print("\t" + " ".join("0x%x," % r for r in rows[i:i + 8]))
    print("};\n")
    print("/* First code point << 8 | how many follow, first target << 2 | mode. */")
    print("static const uint32_t fold_table[][2] = {")
    rows = list(fold_rows())
    for i in range(0, len(rows), 4):
        print("\t" + " ".join("{ 0x%x, 0x%x }," % r for r in rows[i:i + 4]))
    print("};")


if __name__ == "__main__":
    sys.exit(main())
