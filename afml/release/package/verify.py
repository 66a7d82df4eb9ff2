"""A package checked by whoever receives it: is it whole, and is it what the institution signed?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from afml.consortium.roster import Roster
from afml.core.errors import ConfigError, IntegrityError
from afml.core.files import require_file
from afml.genomics.released import release_digest
from afml.release.package.manifest import MANIFEST_FILE, PUBLICATION_FILE, Manifest, digest_of, digests
from afml.release.package.publication import Publication

_ANEW = "ask the institution for the package once more, and do not use this one"
_NAMED = 3


@dataclass(frozen=True)
class Trusted:
    """Whom the recipient takes for the institution. It has this from elsewhere: the package can vouch for nobody.

    Attributes:
        roster: The consortium's.
        key: The institution's signing key, hex.
    """

    roster: Path | None = None
    key: str | None = None

    def key_of(self, manifest: Manifest) -> tuple[bytes, str]:
        """The institution's key, and what it is called.

        Raises:
            ConfigError: Neither roster nor key, both, or no key.
            IntegrityError: The roster is another consortium's, lacks the institution, or has another key of it.
        """
        if (self.roster is None) == (self.key is None):
            cure = "give --roster, the consortium's roster.json, or --key, the institution's signing key"
            raise ConfigError("nothing says whose signature it should bear", where="afml release verify", cure=cure)
        if self.key is not None:
            if len(self.key) != 64 or set(self.key.lower()) - set("0123456789abcdef"):
                raise ConfigError("is no Ed25519 public key in hex", where="--key", cure="give its 64 digits")
            return bytes.fromhex(self.key), f"the key {self.key[:12]}"
        assert self.roster is not None
        roster = Roster.load(self.roster)
        roster.check(self.roster)
        member = next((one for one in roster.members if one.origin == manifest.origin), None)
        if member is None or roster.consortium != manifest.consortium:
            raise IntegrityError(
                f"is said to be of an institution of consortium {manifest.consortium} that is not on the roster",
                where=self.roster,
                cure="give the roster of that consortium; do not use the package otherwise",
            )
        if manifest.key != member.signing_key and manifest.key in member.keys:
            raise IntegrityError(
                f"is signed by a key that {member.name} has changed since",
                where=MANIFEST_FILE,
                cure=f"ask {member.name} whether that key was stolen; if not, give it with --key",
            )
        return bytes.fromhex(member.signing_key), f"{member.name}, node {member.node} of {roster.consortium}"


@dataclass(frozen=True)
class Verified:
    """A package that is whole and signed.

    Attributes:
        manifest: Its own.
        by: Who signed it.
        publication: What it was held against before it left the house; None where nothing says so.
    """

    manifest: Manifest
    by: str
    publication: Publication | None = None

    def lines(self) -> tuple[str, str]:
        """What it is, and whether it was evaluated before it left the house."""
        one, word = self.manifest, self.publication
        what = f"version {one.version} of the release of run {one.run}: {len(one.files)} files as {self.by} signed them"
        absent = f"not published: no {PUBLICATION_FILE} is in it, so nobody says that it was evaluated first"
        return what, absent if word is None else word.line()


def verify_package(folder: Path, trusted: Trusted) -> Verified:
    """Check a package's signature and digests.

    Args:
        folder: The package.
        trusted: Whom the recipient takes for the institution.

    Raises:
        InputError: It has no manifest, or none that can be read.
        IntegrityError: The signature is not the institution's, or a file is missing, changed or added.
        ConfigError: As `Trusted.key_of`.
    """
    path = require_file(folder / MANIFEST_FILE, "manifest of the package", "name the folder that `afml mask` wrote")
    manifest = Manifest.load(path)
    key, by = trusted.key_of(manifest)
    manifest.require_signed(key, path)
    require_whole(folder, manifest, _ANEW)
    return Verified(manifest, by, _published(folder, manifest, key))


def require_whole(folder: Path, manifest: Manifest, cure: str) -> None:
    """Refuse a package that is not what its manifest says.

    Args:
        folder: The package.
        manifest: Its own, whoever signed it.
        cure: What to do then.

    Raises:
        IntegrityError: A file is missing, changed or added.
    """
    found = digests(folder)
    wrong = [f"{name} is missing" for name in manifest.files if name not in found]
    wrong += [
        f"{name} is not what was signed" for name in found if manifest.files.get(name, found[name]) != found[name]
    ]
    wrong += [f"{name} was added" for name in found if name not in manifest.files]
    if wrong:
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise IntegrityError(f"{', '.join(wrong[:_NAMED])}{more}", where=folder, cure=cure)
    if release_digest(folder) != manifest.release:
        raise IntegrityError("the records are not those of the manifest", where=folder, cure=cure)


def _published(folder: Path, manifest: Manifest, key: bytes) -> Publication | None:
    """The institution's word that the package may leave the house; None where there is none.

    Raises:
        InputError: It cannot be read.
        IntegrityError: The signature is not the institution's, or it is of another package.
    """
    path = folder / PUBLICATION_FILE
    if not path.is_file():
        return None
    found = Publication.load(path)
    found.require_signed(key, path)
    if not found.of(manifest) or found.manifest != digest_of(folder / MANIFEST_FILE):
        raise IntegrityError("is of another package", where=path, cure=_ANEW)
    return found
