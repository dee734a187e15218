"""Published figures: typed in by hand, so checked against themselves and against each other."""

import itertools

import pytest

from evaluation.published import ABLATIONS, COSTS, FINDINGS, PUBLISHED, lookup
from metrics.psnr_ssim import CONVENTIONS


@pytest.mark.parametrize(
    ("task", "psnr", "ssim"),
    [
        (("CISRNet", "Set5", 4, "jpeg10"), 25.026, 0.702),
        (("VDSR", "Set5", 4, "jpeg10"), 26.564, 0.725),
        (("RDN", "Manga109", 2, "jpeg10"), 25.988, 0.835),
        (("RCAN", "Urban100", 4, "jpeg10"), 21.088, 0.526),
        (("RDN", "DIV2K_valid", 1, "jpeg30"), 32.777, None),
        (("CBDNet", "DIV2K_valid", 1, "jpeg50"), 34.690, None),
        (("RDN", "DIV2K_valid", 4, "jpeg10"), 23.320, None),
        (("SwinIR", "LIVE1", 1, "jpeg10"), 28.06, None),
    ],
)
def test_spot_checks(task: tuple, psnr: float, ssim: float | None) -> None:
    found = lookup(*task)
    assert found is not None
    assert (found.psnr, found.ssim) == (psnr, ssim)


def test_lpips_is_kept_apart_from_the_standard() -> None:
    before, after = (lookup(method, "DIV2K_valid", 1, "hevc37") for method in ("input", "esrgan"))
    assert (before.lpips, after.lpips) == (0.138, 0.080)
    assert before.convention == after.convention == "lpips_alex_unit_range"
    assert "not comparable" in after.caveat


@pytest.mark.parametrize(
    "task",
    [
        ("RCAN", "Set5", 3, "jpeg10"),  # left blank in the paper
        ("CISRNet", "Set5", 4, "jpeg20"),
        ("CISRNet", "Kodak24", 4, "jpeg10"),
        ("CISR-PSI", "Kodak24", 2, "webp20"),
    ],
)
def test_what_was_not_published_is_not_found(task: tuple) -> None:
    assert lookup(*task) is None


def test_every_row_can_be_found_and_cites_source_and_convention() -> None:
    known = {*CONVENTIONS, "rgb", "lpips_alex_standard", "lpips_alex_unit_range"}
    for row in PUBLISHED:
        # No two share a task.
        assert lookup(row.method.upper(), row.dataset, row.scale, row.compression, row.protocol) is row
        assert row.convention in known and len(row.source) > 10
        assert (row.lpips is None) != (row.convention.startswith("lpips"))
        assert (row.psnr is None) == row.convention.startswith("lpips")
        assert row.psnr is None or 18 < row.psnr < (36 if row.compression != "jpeg90" else 39)
        assert row.ssim is None or 0.5 < row.ssim < 0.94
        assert row.psnr_b is None or row.psnr - 3 < row.psnr_b < row.psnr
        assert (row.protocol == "colour") != (row.convention == "grey")
        assert row.comparable or row.caveat
        assert row.scale in (1, 2, 3, 4)
    assert all(row.convention in known and len(row.source) > 10 for row in (*ABLATIONS, *FINDINGS))
    assert all(len(cost.source) > 10 for cost in COSTS.values())


def test_table_1_is_whole() -> None:
    rows = [row for row in PUBLISHED if row.source.endswith("Table 1")]
    methods, scales = ("VDSR", "RDN", "RCAN", "CISRNet"), (2, 3, 4)
    sets = ("Set5", "Set14", "B100", "Urban100", "Manga109")
    expected = set(itertools.product(methods, scales, sets)) - {("RCAN", 3, name) for name in sets}
    assert {(row.method, row.scale, row.dataset) for row in rows} == expected
    assert len(rows) == len(expected) == 55
    assert set(COSTS) == set(itertools.product(methods, scales))
    assert (COSTS["CISRNet", 3].parameters, COSTS["CISRNet", 3].seconds) == (10.015, 179.60)


def test_figures_fall_with_the_scale_except_where_a_caveat_says_so() -> None:
    for row in PUBLISHED:
        finer = lookup(row.method, row.dataset, row.scale - 1, row.compression)
        if finer is not None and row.scale > 2 and row.comparable:
            assert (row.psnr < finer.psnr) != bool(row.caveat)
    assert lookup("VDSR", "Set5", 4, "jpeg10").caveat


def test_enhancement_gains_over_the_input_and_rises_with_quality() -> None:
    for row in PUBLISHED:
        if row.scale == 1 and row.method != "input":
            given = lookup("input", row.dataset, 1, row.compression, row.protocol)
            if row.psnr is None:
                assert row.lpips < given.lpips
            else:
                assert row.psnr > given.psnr
    for method in ("input", "RDN", "CBDNet"):
        psnr = [lookup(method, "DIV2K_valid", 1, f"jpeg{quality}").psnr for quality in (10, 20, 30, 40, 50)]
        assert psnr == sorted(psnr)


def test_the_papers_tables_agree_where_they_overlap() -> None:
    """The chosen network stands in Tables 1, 2 and 3; the coarse one of 4 parallel groups in 2 and 3."""
    chosen = lookup("CISRNet", "B100", 2, "jpeg10")
    fine = [row for row in ABLATIONS if (row.stage, row.groups, row.block) == ("fine", 2, "sequential")]
    coarse = [row for row in ABLATIONS if (row.stage, row.groups, row.block) == ("coarse", 4, "parallel")]
    assert len(fine) == len(coarse) == 2
    assert {(row.psnr, row.ssim) for row in fine} == {(chosen.psnr, chosen.ssim)}
    assert len({(row.psnr, row.ssim) for row in coarse}) == 1
    assert len(ABLATIONS) == 11


def test_jpeg_tables_rise_with_the_quality_and_from_paper_to_paper() -> None:
    for dataset, protocol in (("Classic5", "file"), ("LIVE1", "bt601_limited")):
        for quality in (10, 40):
            order = ("input", "AR-CNN", "DnCNN-3", "QGAC", "FBCNN", "SwinIR")
            rows = [lookup(method, dataset, 1, f"jpeg{quality}", protocol) for method in order]
            for name in ("psnr", "ssim"):
                values = [getattr(row, name) for row in rows]
                assert values == sorted(values) and len(set(values)) == len(values)
    for method in ("input", "DnCNN", "QGAC", "FBCNN", "JDEC", "SwinIR"):
        rows = [row for quality in (10, 20, 30, 40, 90) if (row := lookup(method, "LIVE1", 1, f"jpeg{quality}"))]
        assert [row.psnr for row in rows] == sorted(row.psnr for row in rows)
        assert len(rows) == (4 if method == "SwinIR" else 5)
    assert lookup("FBCNN", "LIVE1", 1, "jpeg10").psnr_b == 27.51
    assert lookup("FBCNN", "LIVE1", 1, "jpeg10", "bt601_limited").psnr_b == 29.40
    assert lookup("FBCNN", "LIVE1", 1, "jpeg10", "bt601_full") is None


def test_a_column_that_cannot_be_compared_says_why() -> None:
    rows = [row for row in PUBLISHED if row.dataset == "Manga109"]
    assert len(rows) == 11 and not any(row.comparable for row in rows)
    assert all("pixels off" in row.caveat for row in rows)
    assert all(row.comparable for row in PUBLISHED if row.dataset != "Manga109")
