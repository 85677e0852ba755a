"""Faults under load: `python -m tests.chaos [fault ...]`; without names, all of them.

Afterwards every acknowledged write exists once, every response was a 2xx, a documented 4xx or a 503
with Retry-After, and none took longer than the timeouts allow. After a run of all faults without a
failure, the table in docs/reliability.md is updated.
"""

import argparse
import re
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass

from tests import services
from tests.chaos import stack as stacks
from tests.chaos.faults import (  # noqa: F401 - each module registers its faults
    clients,
    embedded,
    migrations,
    postgres,
    redis,
    service,
)
from tests.chaos.faults.fault import FAULTS, Fault
from tests.chaos.load import Load
from tests.live import ROOT

RECOVERY = 5.0  # seconds after the end of a fault
WARM_UP = 1.5  # seconds of load before it
MIN_REQUESTS = 50  # of a round
PAGE = ROOT / "docs" / "reliability.md"
TABLE = re.compile(r"(?<=<!-- table -->\n).*(?=<!-- end -->)", re.S)
HEAD = (
    "fault",
    "evidence",
    "requests",
    "503",
    "failed",
    "slowest, s",
    "recovery, s",
    "lost",
    "doubled",
)


@dataclass
class Outcome:
    """The table row of a fault, and the violated expectations."""

    cells: tuple[object, ...]
    complaints: list[str]


def main() -> int:
    """Run the named faults; return 0 if all expectations were met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="fault", help=", ".join(FAULTS))
    names = parser.parse_args().names or list(FAULTS)
    if unknown := set(names) - set(FAULTS):
        parser.error(f"unknown fault: {', '.join(unknown)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began, outcomes = time.monotonic(), []
    for kind in (stacks.Stack, stacks.Embedded):
        chosen = [name for name in names if FAULTS[name].needs is kind]
        if chosen:
            with stacks.running(kind) as stack:
                outcomes += [run(stack, name, FAULTS[name]) for name in chosen]
    bad = sum(bool(outcome.complaints) for outcome in outcomes)
    print(f"{len(outcomes)} faults, {bad} failed, {time.monotonic() - began:.0f} s")
    if not bad and len(outcomes) == len(FAULTS):
        rows = [HEAD, ("---",) * len(HEAD), *(outcome.cells for outcome in outcomes)]
        table = "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)
        PAGE.write_text(TABLE.sub(lambda _: table, PAGE.read_text()))
    return 1 if bad else 0


def run(stack: stacks.Stack | stacks.Embedded, name: str, fault: Fault) -> Outcome:
    """Inject one fault under load, and print the outcome."""
    authorization = stack.live.log_in()["Authorization"]
    article = stack.live.call("GET", "articles?limit=1").json["items"][0]["id"]
    load = Load(name, stack.nginx.port, authorization, article)
    load.start()
    try:
        complaints, proof, lifted = inject(fault, stack, load)
    finally:
        load.stop()
    verdicts = load.verdicts()
    refused = verdicts.pop("refused", 0)
    requests, failed = load.count(), sum(verdicts.values()) - verdicts.pop("ok", 0)
    slowest = max(answer.ended - answer.began for _, answer in load.answers)
    bad = [answer.ended - lifted for _, answer in load.answers if not answer.worked]
    recovery = max(0.0, *bad, 0.0)
    lost, doubled = audit(stack, load)
    complaints += [
        what
        for wrong, what in (
            (requests < MIN_REQUESTS, f"only {requests} requests"),
            (failed > fault.failures, f"failed: {dict(verdicts)}"),
            (refused and fault.refused is False, f"{refused} responses were 503"),
            (fault.refused and not refused, "no response was 503"),
            (slowest > fault.bound, f"the slowest took {slowest:.1f} s, not {fault.bound:.1f}"),
            (recovery > RECOVERY, f"recovered after {recovery:.1f} s"),
            (lost, f"{lost} writes were lost"),
            (doubled, f"{doubled} writes happened twice"),
        )
        if wrong
    ]
    figures = requests, refused, failed, f"{slowest:.1f}", f"{recovery:.1f}", lost, doubled
    print(
        f"{'FAILED' if complaints else 'ok':<6} {name:<18} {requests:>5} requests,"
        f" {refused} refused (503), {failed} failed, slowest {slowest:.1f} s,"
        f" recovery {recovery:.1f} s, {lost} lost, {doubled} doubled; {proof}",
        *(f"\n         {complaint}" for complaint in complaints),
        flush=True,
    )
    return Outcome((fault.title, proof, *figures), complaints)


def inject(
    fault: Fault, stack: stacks.Stack | stacks.Embedded, load: Load
) -> tuple[list[str], str, float]:
    """Inject the fault into a stack under load, and wait until that has settled.

    Returns:
        What was not as expected, the evidence of the fault, and when it was undone (monotonic).
    """
    time.sleep(WARM_UP)
    quiet, proof = load.verdicts(), ""
    complaints = [] if set(quiet) == {"ok"} else [f"before the fault: {dict(quiet)}"]
    try:
        proof = fault.inject(stack)
    except AssertionError as error:
        complaints.append(f"the fault did not happen as expected: {error}")
    lifted = time.monotonic()
    load.settle(2 * RECOVERY)
    return complaints, proof, lifted


def audit(stack: stacks.Stack | stacks.Embedded, load: Load) -> tuple[int, int]:
    """The numbers of acknowledged writes that are missing, and of those that exist twice."""
    rows = stack.articles(load.name)
    titles = Counter(title for _, title, _, _ in rows)
    lost = sum(title not in titles for title in load.acknowledged)
    doubled = sum(times - 1 for times in titles.values())
    for article_id, _, version, category in rows:
        if last := load.patched.get(article_id):
            lost += (version, category) < last
            doubled += version > last[0] + 1  # the response to the last step may be missing
    return lost, doubled


if __name__ == "__main__":
    try:
        sys.exit(main())
    except services.Unavailable as reason:
        sys.exit(str(reason))
