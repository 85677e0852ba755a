"""Write app/users/common_passwords.txt, the list of passwords that are rejected.

    npm pack @zxcvbn-ts/language-common@4.1.3 && tar xzf zxcvbn-ts-language-common-4.1.3.tgz
    python tools/common_passwords.py package/src/passwords.json

The source ranks leaked passwords by frequency. Few of them are long, so the most frequent ones are
extended as people do it, by repetition and digits, and keyboard walks are added.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

SHORTEST = 8  # minimum of PASSWORD_MIN_LENGTH
LONG = 15  # its default
LONGEST = 24  # of the generated passwords
EXTENDED = 900  # the most frequent passwords, which are extended
ROWS = (
    "1234567890",
    "0987654321",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertyuiopasdfghjklzxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "1q2w3e4r5t6y7u8i9o0p",
    "abcdefghijklmnopqrstuvwxyz",
    "zyxwvutsrqponmlkjihgfedcba",
)


def extended(words: Iterable[str]) -> Iterator[str]:
    """Each word repeated, or followed by digits, until it is long enough."""
    for word in words:
        times = -(-LONG // len(word))
        yield from (word * n for n in (times, times + 1) if len(word * n) <= LONGEST)
        for digits in ("1234567890", "1" * 10, "0" * 10):
            if len(word) + len(digits) >= LONG:
                yield word + digits[: LONG - len(word)]
        yield from (word + "1234567890"[:n] for n in range(3, 11) if len(word) + n >= LONG)


def walked() -> Iterator[str]:
    """Rows of the keyboard, the digits and the alphabet, from each starting point."""
    for row in ROWS:
        endless = row * (2 * LONGEST)
        starts = range(len(row)) if row[:2] in ("12", "09") else range(1)
        yield from (endless[at : at + n] for at in starts for n in range(LONG, LONGEST + 1))
        if len(row) >= LONG:
            yield row
    for character in "abcdefghijklmnopqrstuvwxyz0123456789":
        yield from (character * n for n in range(SHORTEST, LONGEST + 1))


def main(source: str) -> None:
    """Write the list: sorted, in lower case, each once."""
    ranked = [word.casefold() for word in json.loads(Path(source).read_text())]
    found = {*ranked, *walked(), *extended(word for word in ranked[:EXTENDED] if len(word) > 3)}
    kept = sorted(word for word in found if len(word) >= SHORTEST)
    target = Path(__file__).parent.parent / "app" / "users" / "common_passwords.txt"
    target.write_text("\n".join(kept) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
