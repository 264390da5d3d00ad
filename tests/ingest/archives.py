"""Archives of all kinds, made for tests: good ones, and such as nobody should unpack."""

import hashlib
import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

FORMATS = {"zip": "", "tar": "w:", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}


def pack(path: Path, files: dict[str, bytes], kind: str = "zip") -> Path:
    """Write files, and folders (whose names end with a slash), into a new archive."""
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, content in files.items():
                zipped.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        return path
    mode: Any = FORMATS[kind]  # the library's types want each mode written out
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            add(tar, name, content, tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE)
    return path


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = "") -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, len(content)
    tar.addfile(info, io.BytesIO(content))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _zip(name: str = "cats/bad.jpg", content: bytes = b"x", mode: int = 0) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as zipped:
            zipped.writestr("cats/good.jpg", b"good")
            info = zipfile.ZipInfo("y" * len(name.encode()))
            info.external_attr, info.create_system = mode << 16, 3
            zipped.writestr(info, content)
        # The library would tidy some names, so they are put in afterwards.
        path.write_bytes(path.read_bytes().replace(b"y" * len(name.encode()), name.encode()))

    return write


def _tar(
    name: str = "cats/bad.jpg", content: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = "x"
) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with tarfile.open(path, "w") as tar:
            add(tar, "cats/good.jpg", b"good")
            add(tar, name, content, kind, target)

    return write


def _zip_with_flag(path: Path) -> None:
    """Every member says that it is encrypted."""
    pack(path, {"cats/good.jpg": b"good"})
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flags in the member's own header, and in the list at the end
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)


def _twice(path: Path) -> None:
    with tarfile.open(path, "w") as tar:
        add(tar, "cats/a.jpg", b"first")
        add(tar, "./cats//a.jpg", b"second")


def _many(path: Path) -> None:
    pack(path, {f"cats/{number}.jpg": b"" for number in range(101)})


def _bomb(path: Path) -> None:
    """A megabyte in a kilobyte."""
    pack(path, {"cats/a.jpg": bytes(500_001), "cats/b.jpg": bytes(500_000)})


def _tar_bomb(digits: int) -> Callable[[Path], None]:
    """It states that it is small, but what describes its one file is not."""

    def write(path: Path) -> None:
        with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
            info = tarfile.TarInfo("cats/a.jpg")
            info.pax_headers = {"comment": "0" * digits}
            tar.addfile(info)

    return write


def _lying_zip(path: Path) -> None:
    """The headers state ten bytes; there are a hundred thousand."""
    pack(path, {"cats/a.jpg": bytes(100_000)})
    content = path.read_bytes().replace(struct.pack("<I", 100_000), struct.pack("<I", 10))
    path.write_bytes(content)


def _sparse(path: Path) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("cats/a.jpg")
        info.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": "400000"}
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))


def _file_and_folder(path: Path) -> None:
    with tarfile.open(path, "w") as tar:
        add(tar, "cats", b"a file")
        add(tar, "cats/a.jpg", b"in it")


# How each is made, and a word of the reason for which it must be refused.
HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "absolute path, zip": (_zip("/tmp/bad.jpg"), "absolute"),
    "absolute path, tar": (_tar("/tmp/bad.jpg"), "absolute"),
    "way out by .., zip": (_zip("cats/../../bad.jpg"), r"by \.\."),
    "way out by .., tar": (_tar("cats/../../bad.jpg"), r"by \.\."),
    "drive letter": (_zip("C:bad.jpg"), "drive letter"),
    "backslash": (_zip("..\\..\\bad.jpg"), "backslash"),
    "symbolic link, zip": (_zip(content=b"/etc/passwd", mode=stat.S_IFLNK | 0o777), "symbolic link"),
    "symbolic link, tar": (_tar(kind=tarfile.SYMTYPE, target="/etc/passwd"), "symbolic link"),
    "hard link": (_tar(kind=tarfile.LNKTYPE, target="/etc/passwd"), "hard link"),
    "character device": (_tar(kind=tarfile.CHRTYPE), "device"),
    "block device": (_tar(kind=tarfile.BLKTYPE), "device"),
    "pipe": (_tar(kind=tarfile.FIFOTYPE), "pipe"),
    "device in a zip": (_zip(mode=stat.S_IFCHR), "neither a file nor a folder"),
    "the same name twice": (_twice, "there twice"),
    "a file that is also a folder": (_file_and_folder, "a file and a folder"),
    "too many members": (_many, "more than 100 members"),
    "too large": (_bomb, "more than 1000000 bytes"),
    "a header that is too large": (_tar_bomb(5_000_000), "a header of"),
    "a header that takes minutes to read": (_tar_bomb(200_000), "a header of"),
    "larger than it states": (_lying_zip, "no whole zip file|another size"),
    "sparse file": (_sparse, "neither a plain file nor a folder"),
    "encrypted": (_zip_with_flag, "encrypted"),
    "line break in a name": (_zip("cats/a\nb.jpg"), "name that is not valid"),
    "name that ends early": (_zip("cats/a.jpg\0.txt"), "name that is not valid"),
    "name that is no UTF-8": (_tar("cats/\udcff.jpg"), "name that is not valid"),
    "name that is too long": (_zip("cats/" + 256 * "a"), "name that is too long"),
}
