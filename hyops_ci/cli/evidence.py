"""`hyops-ci evidence`: verify, show or report a sealed bundle, anywhere, without a network."""

from __future__ import annotations

from pathlib import Path

import click

from hyops_ci.cli.options import format_option

_bundle = click.argument("bundle", type=click.Path(path_type=Path))


@click.group("evidence")
def command() -> None:
    """Look at a sealed bundle."""


@command.command("verify")
@_bundle
@click.option("--key", "keys", multiple=True, help="A public key that may have signed it, ed25519:<base64>.")
@click.option("--require-signature", is_flag=True, help="Refuse a bundle that no given key has signed.")
@format_option
def verify_bundle(bundle: Path, keys: tuple[str, ...], require_signature: bool, output: str) -> int:
    """Exit 0 when BUNDLE is whole and consistent, 11 otherwise. Any single changed byte is found."""
    from hyops_ci.cli.render import emit
    from hyops_ci.evidence.verify import verify

    verdict = verify(bundle, trusted_keys=keys, require_signature=require_signature)
    lines = ["VALID" if verdict.ok else "INVALID", *(f"  {name:<12} {value}" for name, value in verdict.facts.items())]
    lines += [f"  problem      {problem}" for problem in verdict.problems]
    emit(output, lines, {"valid": verdict.ok, "problems": list(verdict.problems), "facts": dict(verdict.facts)})
    return verdict.exit_code


@command.command("show")
@_bundle
@click.option("--file", "name", default="", help="Print this file of the bundle.")
@format_option
def show_bundle(bundle: Path, name: str, output: str) -> int:
    """List the files of BUNDLE, or print one of them."""
    from hyops_ci.cli.render import emit
    from hyops_ci.errors import shown

    files = _files(bundle)
    if name:
        text = files.get(name, b"").decode("utf-8", "replace")
        emit(output, [shown(line, 10_000) for line in text.splitlines()], {"file": name, "text": text})
        return 0 if name in files else 11
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
    from hyops_ci.evidence.report import html, markdown

    files = _files(bundle)
    if as_markdown:
        emit(output, [markdown(files)], {"markdown": markdown(files)})
        return 0
    target = out or bundle.with_suffix(".html")
    target.write_text(html(files), encoding="utf-8")
    emit(output, [str(target)], {"report": str(target)})
    return 0


def _files(bundle: Path) -> dict[str, bytes]:
    """The files of a bundle. Raises Refusal (exit 11) for what is none."""
    from hyops_ci.errors import Exit, Refusal
    from hyops_ci.evidence.bundle import MANIFEST
    from hyops_ci.evidence.container import BadContainer
    from hyops_ci.evidence.contents import read_files

    try:
        files = read_files(bundle)
        if MANIFEST not in files:
            raise BadContainer(f"no {MANIFEST} in it")
        return files
    except (BadContainer, OSError) as error:
        found = error.strerror if isinstance(error, OSError) else str(error)
        raise Refusal(
            "evidence.read",
            "this is no bundle",
            exit_code=Exit.EVIDENCE,
            found=f"{bundle}: {found}",
            expected="a sealed bundle",
            fix="hyops-ci evidence verify says more",
        ) from None
