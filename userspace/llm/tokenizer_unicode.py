#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tokenizer_unicode_table.h: where the class of code points changes."""
import sys
import unicodedata

SPACES = {0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}
SPACES |= set(range(0x09, 0x0E)) | {0x20} | set(range(0x2000, 0x200B))


def klass(cp):
    if cp in SPACES:
        return 3
    return {"L": 1, "N": 2}.get(unicodedata.category(chr(cp))[0], 0)


def main():
    rows, last = [], None
    for cp in range(0x110000):
        k = klass(cp)
        if k != last:
            rows.append(cp << 2 | k)
            last = k
    print("/* SPDX-License-Identifier: MIT */")
    print("/* Unicode %s, by tokenizer_unicode.py: code point << 2 | enum tok_class." %
          unicodedata.unidata_version)
    print(" * An entry holds up to the next one.\n */")
    print("static const uint32_t class_table[] = {")
    for i in range(0, len(rows), 8):
        print("\t" + " ".join("0x%x," % r for r in rows[i:i + 8]))
    print("};")


if __name__ == "__main__":
    sys.exit(main())
