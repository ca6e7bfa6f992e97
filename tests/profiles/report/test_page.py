"""The report's page in a real browser, with the trees of flipped questions on it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from profiles.records import stored_run
from profiles.report.summary import summarize
from profiles.report.write import write
from profiles.tree.stored_trees import tree_line, trees_path
from tests.profiles.browser import browse, probe, screenshot
from tests.profiles.tree.test_tree import SEARCH


@pytest.fixture
def page(run_folder: Path) -> Path:
    """The page of a run whose trees were kept."""
    keep_trees(run_folder, lambda _: SEARCH)
    write(run_folder)
    return run_folder / "index.html"


def keep_trees(folder: Path, tree: Callable[[str], dict[str, Any]]) -> None:
    """A tree for every question of every REBASE configuration."""
    for slug in stored_run.read_run(folder).configurations:
        if "-rebase-" in slug:
            lines = [tree_line(str(n), tree(slug)) for n in range(100)]
            trees_path(folder / stored_run.RECORDS / f"{slug}.jsonl").write_text("".join(lines))


def test_each_level_shows_one_flipped_tree_beside_the_baselines(run_folder: Path) -> None:
    keep_trees(run_folder, lambda slug: {**SEARCH, "question": slug})
    summary = summarize(run_folder)
    assert [s.level for s in summary.searches] == [
        f"gguf {level}" for level in ("f16", "q8_0", "q4_k_m", "q3_k_s", "q2_k")
    ]
    for search in summary.searches:
        assert search.before.question == "policy-torch-f32-rebase-8"
        assert search.after.question == f"policy-gguf-{search.level.split()[1]}-rebase-8"
        flips = next(
            flips
            for row, flips in zip(summary.rows, summary.flips, strict=True)
            if f"{row.setup.format} {row.setup.level}" == search.level
            and row.setup.method == "rebase"
        )
        assert search.flip in flips
        assert search.flip.lost or not any(flip.lost for flip in flips)


def test_no_trees_no_section(run_folder: Path) -> None:
    write(run_folder)
    assert "Trees of flipped" not in (run_folder / "index.html").read_text()


def test_anchors_are_unique_and_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    nodes = [target for target in re.findall(r'href="#([^"]+)"', text) if target.startswith("t")]
    assert len(nodes) > 5 * 2 * 7
    assert set(nodes) <= set(ids)
    assert "<script>alert" not in text


@pytest.mark.slow
def test_light_and_dark(page: Path) -> None:
    for scheme in ("light", "dark"):
        pixels = screenshot(page, scheme, 1600, 2400)
        assert (pixels[2, 2].mean() < 0.3) == (scheme == "dark")
        assert pixels.std() > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("width", [1600, 500])
def test_nothing_sticks_out_of_the_window_even_with_all_opened(page: Path, width: int) -> None:
    opened = page.read_text(encoding="utf-8").replace("<details", "<details open")
    page.write_text(opened, encoding="utf-8")
    assert int(probe(page, "document.documentElement.scrollWidth", width)) <= width


@pytest.mark.slow
def test_plots_and_trees_keep_their_own_colours(page: Path) -> None:
    """The trees' rules are nested: a line of a plot does not take the colour of a tree's edge."""
    colour = "getComputedStyle(document.querySelector('{}')).{}"
    edge = probe(page, colour.format(".tree svg path:not(.on)", "stroke"))
    drawn = probe(page, colour.format("figure svg path[style*=stroke]", "stroke"))
    assert edge == "rgb(180, 189, 200)"
    assert drawn != edge
    assert probe(page, "document.querySelectorAll('figure svg').length") == "7"
    assert probe(page, "document.querySelectorAll('.tree svg').length") == "10"


@pytest.mark.slow
def test_it_prints_on_landscape_pages(page: Path) -> None:
    pdf = page.with_name("page.pdf")
    browse(page, "--no-pdf-header-footer", f"--print-to-pdf={pdf}")
    content = pdf.read_bytes()
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", content)
    assert 3 <= len(boxes) <= 12
    assert {(round(float(w)), round(float(h))) for w, h in boxes} == {(842, 595)}


def shown(page: Path, selector: str, opening: str = "") -> list[str]:
    """The texts of the elements that a reader sees, after a script has acted for him."""
    expression = (
        f"(() => {{ {opening}; return [...document.querySelectorAll('{selector}')]"
        ".filter((one) => one.checkVisibility()).map((one) => one.id).join(' ') })()"
    )
    return probe(page, expression).split()


@pytest.mark.slow
def test_the_filter_keeps_the_rows_that_hold_all_words(page: Path) -> None:
    rows = "#rows tbody tr"
    typed = (
        "const box = document.querySelector('.filter input'); box.value = 'Q4_K_M rebase';"
        "box.dispatchEvent(new Event('input'))"
    )
    assert len(shown(page, rows)) == 42
    assert shown(page, rows, typed) == ["row-25", "row-26", "row-27"]


@pytest.mark.slow
def test_the_page_needs_no_script(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    page.write_text(re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL), encoding="utf-8")
    assert len(shown(page, "#rows tbody tr")) == 42
    assert probe(page, "document.querySelector('.filter').checkVisibility()") == "false"


@pytest.mark.slow
def test_an_interval_is_shown_where_the_keyboard_stands(page: Path) -> None:
    first = "document.querySelectorAll('.matrix a')[7]"
    visible = f"getComputedStyle({first}.querySelector('.interval')).display"
    assert probe(page, visible) == "none"
    assert probe(page, f"({first}.focus({{focusVisible: true}}), {visible})") == "block"


@pytest.mark.slow
def test_a_link_to_folded_flips_opens_them(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    target = re.findall(r'href="#(flips-\d+)"', text)[-1]
    seen = f"document.querySelector('#{target} table').checkVisibility()"
    assert probe(page, seen) == "false"
    assert probe(page, f"(location.hash = '#{target}', reveal(), {seen})") == "true"
