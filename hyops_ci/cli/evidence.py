"""`hyops-ci evidence`: verify, show or report a sealed bundle, anywhere, without a network."""

from __future__ import annotations

from pathlib import Path

import click

from hyops_ci.cli.given import given
from hyops_ci.cli.options import Group, format_option
from hyops_ci.errors import Exit

_bundle = click.argument("bundle", type=click.Path(path_type=Path))


@click.group("evidence", cls=Group)
def command() -> None:
    """A sealed bundle."""


def _public_keys(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys. Raises Refusal (exit 2) for text that is none, and for a key under which anybody can sign."""
    from hyops_ci.contracts.public_key import EXPECTED, key_bytes
    from hyops_ci.errors import Refusal

    for value in values:
        try:
            key_bytes(value)
        except ValueError as error:
            raise Refusal(
                "evidence.key",
                f"what --key gives {error}",
                exit_code=Exit.USAGE,
                found=value or "an empty text",
                expected=EXPECTED,
                fix="copy it from evidence_keys of the host's trust file, or print it on the host",
                docs="evidence.md",
            ) from None
    return values


@command.command("verify")
@click.argument("bundle", type=click.Path(path_type=Path), envvar="DR_EVIDENCE")
@click.option("--digest", envvar="DR_DIGEST", default="", help="What its sha256 must be, as the run or the ledger says.")
@click.option(
    "--key",
    "keys",
    envvar="DR_KEY",
    multiple=True,
    callback=_public_keys,
    help="A public key, ed25519:<base64>: one of them must have signed.",
)
@click.option(
    "--trust",
    envvar="DR_TRUST",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A host trust file: one of its evidence_keys must have signed.",
)
@click.option("--require-signature", envvar="DR_REQUIRE_SIGNATURE", is_flag=True, help="Refuse a bundle where no key is given, too.")
@format_option
def verify_bundle(bundle: Path, digest: str, keys: tuple[str, ...], trust: Path | None, require_signature: bool, output: str) -> int:
    """Exit 0 when BUNDLE is whole and consistent, 11 otherwise. Any single changed byte is found.

    BUNDLE is a dr-evidence-<run>-<attempt>.tar, the zip that GitHub gives for its artifact, or the folder it was unpacked into.
    Whose it is, only a key can say: with --key or --trust, a bundle that none of them signed ends in exit 11.
    """
    from hyops_ci.archive import BadArchive
    from hyops_ci.cli.evidence_file import bundle_in
    from hyops_ci.cli.render import emit, workflow
    from hyops_ci.config.file import read_trust
    from hyops_ci.evidence.verify import VerificationResult, verify

    trusted = (*keys, *(read_trust(given(trust), str(trust)).evidence_keys if trust is not None else ()))
    asked, found = require_signature or bool(keys) or trust is not None, ""
    try:
        with bundle_in(bundle) as path:
            verdict, found = verify(path, trusted_keys=trusted, require_signature=asked), _sha256(path)
    except BadArchive as error:
        verdict = VerificationResult(False, (f"{bundle}: {error}",))
    wanted = digest if ":" in digest or not digest else f"sha256:{digest}"
    other = (f"its sha256 is {found or 'unknown: it is not a file'}, not {wanted}",) if wanted not in ("", found) else ()
    problems, valid = (*verdict.problems, *other), verdict.ok and not other
    code = int(Exit.DONE if valid else Exit.EVIDENCE)
    lines = ["VALID" if valid else f"INVALID: {problems[0]}", *(f"  problem      {problem}" for problem in problems[1:])]
    lines += [f"  {name:<12} {value}" for name, value in verdict.facts.items()]
    # What a bundle says of itself counts only when it holds.
    facts = {"outcome": verdict.facts.get("outcome", ""), "evidence_digest": found} if valid else {}
    workflow().outputs({**facts, "exit_code": str(code)})
    if not valid:
        workflow().annotate("error", "INVALID evidence", "\n".join(lines))
    document = {"valid": valid, "problems": list(problems), "facts": dict(verdict.facts), "sha256": found or None}
    emit(output, lines, document | {"signers": list(verdict.signers), "trusted": verdict.trusted})
    return code


@command.command("show")
@_bundle
@click.option("--file", "name", default="", help="Print this file of the bundle.")
@format_option
def show_bundle(bundle: Path, name: str, output: str) -> int:
    """List the files of BUNDLE, or print one of them."""
    from hyops_ci.cli.render import emit
    from hyops_ci.errors import Refusal, shown
    from hyops_ci.text import shell

    files = _files(bundle)
    if name:
        if name not in files:
            raise Refusal(
                "evidence.file",
                "the bundle holds no file of that name",
                exit_code=Exit.USAGE,
                found=name,
                expected="one of its files",
                fix=f"{shell('hyops-ci evidence show {}', str(bundle))} lists them",
                docs="evidence.md",
            )
        text = files[name].decode("utf-8", "replace")
        emit(output, [shown(line, 10_000) for line in text.splitlines()], {"file": name, "text": text})
        return 0
    emit(
        output, [f"{len(content):>10}  {path}" for path, content in files.items()], {path: len(content) for path, content in files.items()}
    )
    return 0


@command.command("report")
@_bundle
@click.option("--out", type=click.Path(path_type=Path), help="Where to write the HTML; beside the bundle when absent.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the Markdown summary instead.")
@format_option
def report_bundle(bundle: Path, out: Path | None, as_markdown: bool, output: str) -> int:
    """Write the report of BUNDLE, made from its contents alone."""
    from hyops_ci.cli.render import emit
    from hyops_ci.report.html import html
    from hyops_ci.report.text import markdown

    files, signed = _files(bundle), _signed(bundle)
    if as_markdown:
        emit(output, [markdown(files)], {"markdown": markdown(files)})
        return 0
    target = out or bundle.with_suffix(".html")
    target.write_text(html(files, signed), encoding="utf-8")
    emit(output, [str(target)], {"report": str(target)})
    return 0


def _files(bundle: Path) -> dict[str, bytes]:
    """Return the files of a bundle. Raises Refusal: exit 2 where there is nothing to read, exit 11 for another file."""
    from hyops_ci.archive import BadArchive
    from hyops_ci.cli.evidence_file import bundle_in
    from hyops_ci.errors import Refusal
    from hyops_ci.evidence.bundle import MANIFEST
    from hyops_ci.evidence.contents import read_files
    from hyops_ci.text import shell

    try:
        with bundle_in(bundle) as path:
            files = read_files(path)
        if MANIFEST not in files:
            raise BadArchive(f"no {MANIFEST} in it")
        return files
    except (BadArchive, OSError) as error:
        found = error.strerror if isinstance(error, OSError) else str(error)
        raise Refusal(
            "evidence.read",
            "this is not a bundle",
            exit_code=Exit.EVIDENCE,
            found=f"{bundle}: {found}",
            expected="a sealed bundle",
            fix=shell("hyops-ci evidence verify {} says more", bundle),
        ) from None


def _signed(bundle: Path) -> str:
    """Return who signed a bundle that verifies; empty for one that does not: then the report only says which keys it names."""
    from hyops_ci.cli.evidence_file import bundle_in
    from hyops_ci.evidence.verify import verify

    with bundle_in(bundle) as path:
        verdict = verify(path)
    return verdict.signed_by if verdict.ok else ""


def _sha256(bundle: Path) -> str:
    """Return the digest of a container; empty for a folder, or one that cannot be read."""
    import hashlib

    try:
        with bundle.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError:
        return ""
