"""The built page: made of its sources, small, and closed to everything from outside."""

import base64
import dataclasses
import hashlib
import re
from pathlib import Path

from fastconv.report import document
from fastconv.report.report import PAGE

WEB = Path(__file__).parents[2] / "fastconv" / "report" / "web"
TEXT = PAGE.read_text("utf-8")


def test_it_was_built_from_these_sources():
    files = ["build.mjs", "package-lock.json", "package.json", *(f"src/{p.name}" for p in (WEB / "src").iterdir())]
    hashed = hashlib.sha256("".join(f"{f}\n{(WEB / f).read_text('utf-8')}" for f in sorted(files)).encode())
    assert f"sha256-{hashed.hexdigest()}" in TEXT, "npm ci && npm run build in fastconv/report/web"


def test_scripts_and_styles_are_those_of_its_policy():
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', TEXT)
    (style,) = re.findall("<style>(.*?)</style>", TEXT, re.DOTALL)
    (script,) = re.findall("<script>(.*?)</script>", TEXT, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (script, style)]
    assert policy.split("; ") == [
        "default-src 'none'", "img-src data:", f"script-src 'sha256-{hashes[0]}'", f"style-src 'sha256-{hashes[1]}'",
        "base-uri 'none'", "form-action 'none'",
    ]  # fmt: skip
    assert len(script) < 150_000


def test_it_has_the_licences_of_what_is_bundled():
    for package in ("@dagrejs/dagre", "preact", "d3-scale"):
        assert re.search(rf"{package} \d+\.\d+", TEXT)
    assert TEXT.count("Permission is hereby granted, free of charge") >= 2


def test_the_document_has_the_fields_that_the_page_reads():
    source = (WEB / "src" / "document.ts").read_text("utf-8")
    interfaces = dict(re.findall(r"export interface (\w+) \{\n(.*?)^\}", source, re.DOTALL | re.MULTILINE))
    twins = {"LayerPart": "Layer", "TenantPart": "Tenant"}
    for name in document.__all__:
        fields = [f.name for f in dataclasses.fields(getattr(document, name))]
        assert re.findall(r"^  (\w+): ", interfaces.pop(twins.get(name, name)), re.MULTILINE) == fields
    assert not interfaces
