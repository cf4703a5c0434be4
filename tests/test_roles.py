"""One look for each role, in every figure, told apart without colour too."""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt

from wiseft_nb.plots import ROLES, plot_schematic


def test_no_two_roles_share_a_colour_or_a_marker():
    assert set(ROLES) == {"zero-shot", "fine-tuned", "linear", "interpolated", "standard"}
    for part in ("color", "marker"):
        assert len({look[part] for look in ROLES.values()}) == len(ROLES)


def test_the_schematic_has_both_ends_and_the_middle_in_the_look_of_their_roles():
    fig, ax = plot_schematic()
    places = {line.get_marker(): float(line.get_xdata()[0]) for line in ax.lines}
    found = {role: places[ROLES[role]["marker"]] for role in ("zero-shot", "interpolated", "fine-tuned")}
    assert found == {"zero-shot": 0, "interpolated": 0.5, "fine-tuned": 1}
    plt.close(fig)
