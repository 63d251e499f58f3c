"""bench/quantization.py: its table keeps what was not measured again."""

import pytest

pytest.importorskip("skimage", reason="pip install '.[examples]'")

import quantization


def test_rows_replace_those_of_their_network(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text(f"before\n<!-- table: {quantization.TABLE} -->\n<!-- end -->\nafter\n", encoding="utf-8")
    monkeypatch.setattr(quantization, "PAGE", page)
    last, first = list(quantization.NETWORKS)[-1], next(iter(quantization.NETWORKS))
    quantization.write([[last, "2", "fastconv", "20.0", "top-1 0.9"]])
    quantization.write([[first, "2", "fastconv", "21.0", "top-1 0.8"], [first, "2", "another", "19.0", "top-1 0.7"]])
    quantization.write([[first, "3", "fastconv", "22.0", "top-1 0.85"]])
    assert page.read_text(encoding="utf-8").splitlines() == [
        "before",
        f"<!-- table: {quantization.TABLE} -->",
        "| network | pictures | quantized by | outputs, dB | agreement with float |",
        "| --- | ---: | --- | ---: | --- |",
        f"| {first} | 3 | fastconv | 22.0 | top-1 0.85 |",
        f"| {last} | 2 | fastconv | 20.0 | top-1 0.9 |",
        "<!-- end -->",
        "after",
    ]
