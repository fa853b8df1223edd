"""The command `doctor`: what is wrong, and what to do. It starts no daemon."""

from typing import TYPE_CHECKING

from admission.protocol import AdmissionError
from admission_client.options import JSON, SOCKET, Option, parse, take_no_words
from admission_client.output import as_json, coloured, printable

if TYPE_CHECKING:
    from admission.service.checkup.finding import Finding

UNWELL = 1
MARKS = {"ok": ("ok", "green"), "warning": (" !", "yellow"), "problem": (" x", "red")}


def doctor(words: list[str]) -> int:
    """Checks all there is to check, and mends what is safe to mend where that is asked for."""
    options = parse(
        words,
        (
            Option("--fix", "fix", "mend what is safe to mend"),
            Option("--config", "config", "the configuration file", "FILE"),
            JSON,
            SOCKET,
        ),
        "doctor [options]",
        "Checks socket, folder, lock, journal, daemon, leases, orphans, clock, limits, sensors,\n"
        "configuration, environment and command. Ends with 0 when all is well, else with 1.",
    )
    take_no_words("doctor", options)
    # The one other place where a client looks at the service itself: it may be what is ill.
    from admission.service.checkup import check_all
    from admission.service.checkup.scene import look

    findings = check_all(look(options.socket, options.config))
    done = _mend(findings) if options.fix else []
    if done:
        findings = check_all(look(options.socket, options.config))
    wrong = [finding for finding in findings if finding.state != "ok"]
    if options.json:
        rows = [
            {
                "name": one.name,
                "state": str(one.state),
                "says": one.says,
                "advice": one.advice,
                "can_fix": one.mend is not None,
            }
            for one in findings
        ]
        print(as_json({"findings": rows, "fixed": done}, indent=2))
    else:
        for line in _report(findings, done):
            print(line)
    return UNWELL if wrong else 0


def _mend(findings: "list[Finding]") -> list[str]:
    """What was done, a sentence each; also where it could not be."""
    done: list[str] = []
    for finding in findings:
        if finding.mend is None:
            continue
        try:
            done.append(finding.mend())
        except (AdmissionError, OSError) as problem:
            done.append(f"{finding.name} could not be mended: {problem}")
    return done


def _report(findings: "list[Finding]", done: list[str]) -> list[str]:
    width = max(len(finding.name) for finding in findings)
    lines: list[str] = []
    for finding in findings:
        mark, colour = MARKS[finding.state]
        lines.append(
            f"{coloured(mark, colour)}  {finding.name:<{width}}  {printable(finding.says)}"
        )
        if finding.advice:
            lines.append(f"{'':<{width + 6}}-> {printable(finding.advice)}")
    lines += ["", *(f"--fix: {printable(one)}" for one in done)]
    return [*lines, _summary(findings)]


def _summary(findings: "list[Finding]") -> str:
    counts = [
        f"{many} {word}{'' if many == 1 else 's'}"
        for word in ("problem", "warning")
        if (many := sum(finding.state == word for finding in findings))
    ]
    mendable = sum(finding.mend is not None for finding in findings)
    hint = f'; "admission doctor --fix" mends {mendable} of them' if mendable else ""
    return f"{' and '.join(counts)}{hint}" if counts else "all is well"
