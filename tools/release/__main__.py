"""`./dev release COMMAND`: what a release is made of, and what is looked at before (docs/releasing.md)."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn

import click

from hyops_ci.errors import DispatchError, Exit, Fault
from tools.release import assets, readiness
from tools.release.changelog import cut
from tools.release.platforms import MACHINES, PYTHONS, Platform
from tools.release.references import NAMED, REF, REPOSITORY
from tools.release.repository import Checkout

OUT: Final = click.option("--out", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path("dist"), show_default=True)
"""Relative to the top of the checkout."""


class Told(click.Group):
    """Ends a command that is refused with its text and exit code."""

    def invoke(self, context: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(context)
        except DispatchError as no:
            _end(no)
        except OSError as error:
            found = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            _end(
                Fault(
                    "release.place", "a file cannot be read or written", exit_code=Exit.USAGE, found=found, fix="name another, then again"
                )
            )


@click.group(cls=Told)
@click.pass_context
def cli(context: click.Context) -> None:
    """Make the files of a release, from a commit of main."""
    context.obj = Checkout(Path.cwd())


@cli.command()
@click.argument("version")
@click.option("--date", "day", type=click.DateTime(["%Y-%m-%d"]), help="Of the release, YYYY-MM-DD. Default: today, UTC.")
@click.pass_obj
def prepare(checkout: Checkout, version: str, day: datetime | None) -> None:
    """Write VERSION into the package and CHANGELOG.md, for a pull request."""
    if not readiness.TAG.fullmatch(f"v{version}"):
        raise click.BadParameter("MAJOR.MINOR.PATCH", param_hint="VERSION")
    changelog, package = checkout.folder / "CHANGELOG.md", checkout.folder / "hyops_ci" / "__init__.py"
    text = cut(changelog.read_text("utf-8"), version, (day or datetime.now(UTC)).date())
    source = package.read_text("utf-8").replace(f'__version__ = "{checkout.version()}"', f'__version__ = "{version}"')
    changelog.write_text(text, "utf-8")
    package.write_text(source, "utf-8")
    click.echo(f"{version}: written to CHANGELOG.md and hyops_ci/__init__.py")


@cli.command()
@click.argument("tag", default="")
@click.option("--pushed", is_flag=True, help="The tag is there, and must name this commit; without it, it must be free.")
@click.pass_obj
def check(checkout: Checkout, tag: str, *, pushed: bool) -> None:
    """Say whether this commit may be released as TAG. Default: the tag of its version."""
    tag = tag or f"v{checkout.version()}"
    found = readiness.refusals(checkout.facts(tag), tag, pushed=pushed)
    if found:
        _end(*found)
    click.echo(f"{tag}: {checkout.commit()} may be released")


@cli.command()
@click.pass_obj
def ci(checkout: Checkout) -> None:
    """Say whether GitHub's list of runs of ci.yml, JSON on stdin, lets this commit be released."""
    if refusal := readiness.not_green(readiness.runs_in(sys.stdin.buffer.read()), checkout.commit()):
        _end(refusal)
    click.echo(f"ci.yml is green for {checkout.commit()}")


@cli.command()
@OUT
@click.pass_obj
def packages(checkout: Checkout, folder: Path) -> None:
    """Make wheel, sdist, bill of materials, notes, and the tree for GitHub Enterprise Server."""
    folder.mkdir(parents=True, exist_ok=True)
    assets.packages(checkout, folder)
    assets.documents(checkout, folder)
    assets.server_tree(checkout, folder, REPOSITORY, f"v{checkout.version()}")
    _made(folder)


@cli.command()
@click.option("--machine", type=click.Choice(MACHINES), required=True)
@click.option("--python", type=click.Choice(PYTHONS), required=True)
@OUT
@click.pass_obj
def wheelhouse(checkout: Checkout, machine: str, python: str, folder: Path) -> None:
    """Fetch and pack the wheels for one kind of host."""
    folder.mkdir(parents=True, exist_ok=True)
    click.echo(assets.wheelhouse(checkout, folder, Platform(machine, python)))


@cli.command()
@OUT
def sums(folder: Path) -> None:
    """Write SHA256SUMS of what is there."""
    assets.sums(folder)
    _made(folder)


@cli.command()
@click.option("--repository", default=REPOSITORY, show_default=True, help="Its owner and name on your server.")
@click.option("--ref", help="The tag that you give it there. Default: that of its version.")
@OUT
@click.pass_obj
def ghes(checkout: Checkout, repository: str, ref: str | None, folder: Path) -> None:
    """Pack the tree for a GitHub Enterprise Server where the repository has another name."""
    if not NAMED.fullmatch(repository):
        raise click.BadParameter("OWNER/NAME", param_hint="--repository")
    if ref is not None and not REF.fullmatch(ref):
        raise click.BadParameter("a tag of letters, digits, ., _ and -", param_hint="--ref")
    folder.mkdir(parents=True, exist_ok=True)
    click.echo(assets.server_tree(checkout, folder, repository, ref or f"v{checkout.version()}"))


def _made(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        click.echo(f"{path.stat().st_size:>12,}  {path.name}")


def _end(*found: DispatchError) -> NoReturn:
    for each in found:
        click.echo("\n".join(each.lines()), err=True)
    sys.exit(int(found[0].exit_code))


if __name__ == "__main__":
    cli(prog_name="./dev release")
