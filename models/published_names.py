"""The names that released weight files give to the tensors of our networks."""

from __future__ import annotations

import re
from collections.abc import Collection

# Network type -> (published name as a regular expression, our name), applied from top to bottom.
# The first row's name stands in every published file and never in ours: it tells the two apart.
# A name that becomes empty is left out: fixed kernels that our modules do not keep.
PUBLISHED_NAMES: dict[str, list[tuple[str, str]]] = {
    "cisrnet": [
        (r"^shallow_feature_extraction\.", "coarse_first."),
        (r"^coarse_rirg\.(\d+)\.(weight|bias)$", r"coarse_body_last.\2"),
        (r"^coarse_rirg\.(\d+)\.body\.(\d+)\.", r"coarse_groups.\1.blocks.\2."),
        (r"^coarse_rirg\.(\d+)\.conv_last\.", r"coarse_groups.\1.conv."),
        (r"^coarse_upsampler\.1\.", "coarse_last."),
        (r"^coarse_upsampler\.0\.", "coarse_upsampler."),
        (r"^refinement_first\.", "fine.0."),
        (r"^fine_rirg\.(\d+)\.body\.(\d+)\.", r"fine.1.\1.blocks.\2."),
        (r"^fine_rirg\.(\d+)\.conv_last\.", r"fine.1.\1.conv."),
        (r"^refinement_last\.", "fine.2."),
        (r"\.head\.", ".convs."),
        (r"\.spatial_attention\.spatial\.conv\.", ".spatial.conv."),
        (r"\.channel_attention\.conv_fc\.0\.", ".channel.weigh.1."),
        (r"\.channel_attention\.conv_fc\.2\.", ".channel.weigh.3."),
        (r"\.conv_last\.", ".mix."),
    ],
    # Ours are BasicSR's names, so that files go both ways; these rows are SubjectiveQE-ESRGAN's and ESRGAN's.
    "rrdbnet": [
        (r"^(?:rrdb_lst|RRDB_trunk)\.", "body."),
        (r"^body\.(\d+)\.RDB(\d)\.", r"body.\1.rdb\2."),
        (r"^conv_in\.", "conv_first."),
        (r"^(?:conv_mid|trunk_conv)\.", "conv_body."),
        (r"^upconv(\d)\.", r"conv_up\1."),
        (r"^HRconv\.", "conv_hr."),
        (r"^conv_out\.", "conv_last."),
    ],
    "cisr_psi": [
        (r"^SR\.tail\.1\.", "rem.last."),
        (r"^SR\.tail\.0\.", "rem.upsampler."),
        (r"^SR\.", "rem."),
        (r"^deblock\.", "arm."),
        (r"^distill\.", "arm.distill."),
        (r"^nonlocal[12]\.(kernel|kernel_y|sobel_x|sobel_y)$", ""),
        (r"^nonlocal1\.conv1\.", "arm.prior.bandwidth."),
        (r"^nonlocal2\.conv1\.", "rem.prior.bandwidth."),
        (r"\.weight_3\.", ".combine.weigh."),
        (r"\.head\.0\.", ".head."),
        (r"\.body\.(\d+)\.body\.(\d+)\.body\.3\.conv_du\.0\.", r".groups.\1.blocks.\2.attention.weigh.1."),
        (r"\.body\.(\d+)\.body\.(\d+)\.body\.3\.conv_du\.2\.", r".groups.\1.blocks.\2.attention.weigh.3."),
        (r"\.body\.(\d+)\.body\.(\d+)\.body\.", r".groups.\1.blocks.\2.convs."),
        (r"\.body\.(\d+)\.body\.\d+\.(weight|bias)$", r".groups.\1.conv.\2"),
    ],
    # Both of what `models.mat_files` reads.
    "dncnn": [(rf"^layers\.{number}\.", f"body.{2 * number}.") for number in range(64)],
    "arcnn": [
        (r"^conv1\.", "extract."),
        (r"^conv2\.", "enhance."),
        (r"^conv22\.", "map."),
        (r"^conv3\.", "reconstruct."),
    ],
    "nonlocal_prior": [
        (r"^conv1\.", "bandwidth."),
        (r"^(kernel|kernel_y|sobel_x|sobel_y)$", ""),
    ],
}


def names_in_file(names_there: Collection[str], type_: str) -> dict[str, str]:
    """Our name of every tensor -> its name in the file."""
    table = PUBLISHED_NAMES.get(type_)
    if not table or not any(re.search(table[0][0], name) for name in names_there):
        return {name: name for name in names_there}
    names: dict[str, str] = {}
    for in_file in names_there:
        name = in_file
        for published, ours in table:
            name = re.sub(published, ours, name)
        if not name:
            continue
        # Two names for one tensor: the second stays under a name that no network has, and is reported.
        names[name if name not in names else f"second {name}"] = in_file
    return names


def as_in_file(missing: str, names: dict[str, str]) -> str:
    """What the file would call a tensor that it lacks, told by the layer's other tensors; else our name."""
    layer, _, leaf = missing.rpartition(".")
    for name, in_file in names.items():
        if name.rpartition(".")[0] == layer:
            return f"{in_file.rpartition('.')[0]}.{leaf}"
    return missing
