"""Joining the files of a project."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import tomli
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.cycles import find_cycles
from orchestrator.config.names import check_names
from orchestrator.config.project import LINEAGE_LIMIT, Project, SourceFile, join, lineage, without_broken_images
from orchestrator.config.schema import BuildFile, IncludedFile
from orchestrator.config.variables import resolve_vars
from orchestrator.diagnostics import Diagnostic, KeyPlace, Severity


def joined(root: str, **teams: str) -> tuple[Project, tuple[Diagnostic, ...]]:
    """The project of a root file and of one included file for each team."""
    included = tuple(
        (
            SourceFile(path=f"teams/{team}/builds.toml", folder=f"teams/{team}", text=text),
            msgspec.convert(tomli.loads("format = 1\n" + text), IncludedFile),
        )
        for team, text in teams.items()
    )
    table = msgspec.convert(tomli.loads("format = 1\n" + root), BuildFile)
    return join(SourceFile(path="builds.toml", folder="", text=root), table, included, folder_name="acme")


def codes(diagnostics: tuple[Diagnostic, ...]) -> list[tuple[str, object]]:
    """Code and keys of each."""
    return [(one.code, one.place.keys if isinstance(one.place, KeyPlace) else None) for one in diagnostics]


def test_images_of_included_files_follow_in_the_order_of_their_paths() -> None:
    """The order in which files were found decides nothing."""
    project, diagnostics = joined("[images.z]\n[images.a]", b="[images.y]", a="[images.x]\n[images.c]")
    assert [image.name for image in project.images] == ["z", "a", "x", "c", "y"]
    assert [image.folder for image in project.images] == ["", "", "teams/a", "teams/a", "teams/b"]
    assert diagnostics == ()


def test_the_project_is_called_like_its_folder_unless_it_says_a_name() -> None:
    """`project.name` wins."""
    assert [joined("")[0].name, joined("[project]\nname = 'other'")[0].name] == ["acme", "other"]


def test_one_name_in_two_files_is_an_error_at_both_places() -> None:
    """Images, templates, groups and vars are shared by all files."""
    text = "images.a.context = 'x'\ntemplates.t.target = 'x'\ngroups.g = ['a']\nvars.v = 1"
    project, diagnostics = joined(text, team=text)
    assert codes(diagnostics) == [
        ("duplicate-name", ("images", "a")),
        ("duplicate-name", ("templates", "t")),
        ("duplicate-name", ("groups", "g")),
        ("duplicate-name", ("vars", "v")),
    ]
    assert KeyPlace(file="teams/team/builds.toml", keys=("images", "a"), on_key=True) == diagnostics[0].place
    assert (KeyPlace(file="builds.toml", keys=("images", "a"), on_key=True),) == diagnostics[0].related
    assert project.images[0].file == "builds.toml"


def test_a_group_cannot_have_the_name_of_an_image() -> None:
    """A selection could not tell them apart."""
    assert codes(joined("images.a = {}\nimages.b = {}\ngroups.a = ['b']")[1]) == [("duplicate-name", ("groups", "a"))]


def test_default_is_a_group_of_the_root_file_alone() -> None:
    """An included file does not decide what a bare command builds, and no image is called like that group."""
    diagnostics = joined("images.default = {}", team="groups.default = []")[1]
    assert {("reserved-name", ("images", "default")), ("reserved-name", ("groups", "default"))} == set(
        codes(diagnostics)
    )
    assert joined("images.a = {}\ngroups.default = ['a']")[1] == ()


def test_an_unknown_template_is_reported_with_the_one_that_was_meant() -> None:
    """Templates of other files count."""
    diagnostics = joined("images.a.inherits = ['go-servise', 'py']", team="templates = {go-service = {}, py = {}}")[1]
    assert codes(diagnostics) == [("unknown-template", ("images", "a", "inherits", 0))]
    assert diagnostics[0].hints == ("did you mean `go-service`?",)


def test_an_unknown_template_among_many_or_none_has_a_hint_as_well() -> None:
    """Comparing stops after many different questions; what is asked again has its answer."""
    names = ", ".join(f"'{name:x<9}'" for name in "abcdefghijklmnopqrstuvwxyz")
    text = f"images.a.inherits = [{names}]\nimages.b.inherits = [{names}]\nimages.c.inherits = ['ax']"
    assert {finding.hints for finding in joined(text)[1]} == {("none is declared",)}
    many = ", ".join(f"'t{number}'" for number in range(60))
    hints = [finding.hints for finding in joined(f"templates.t = {{}}\nimages.a.inherits = [{many}]")[1]]
    assert [hints[0], hints[-1]] == [("did you mean `t`?",), ("known: `t`",)]


def test_a_circle_of_templates_is_printed_as_the_path_it_is() -> None:
    """With the place of the name that closes it."""
    text = "templates.a.inherits = ['x', 'b']\ntemplates.b.inherits = ['a']\ntemplates.x = {}"
    (diagnostic,) = joined(text)[1]
    assert diagnostic.message == "templates inherit each other in a circle: `a -> b -> a`"
    assert KeyPlace(file="builds.toml", keys=("templates", "b", "inherits", 0)) == diagnostic.place


def test_a_circle_of_groups_is_printed_as_the_path_it_is() -> None:
    """With the place of the member that closes it."""
    (diagnostic,) = joined("groups.a = ['b']\ngroups.b = ['c']\ngroups.c = ['b']")[1]
    assert diagnostic.message == "groups contain each other in a circle: `b -> c -> b`"
    assert KeyPlace(file="builds.toml", keys=("groups", "c", 0)) == diagnostic.place


def test_bases_stand_before_what_names_them_and_a_diamond_once() -> None:
    """Later templates are higher."""
    text = "templates = {base = {}, a = {inherits = ['base']}, b = {inherits = ['base', 'c']}, c = {}}"
    templates = joined(text)[0].templates
    assert [one.name for one in lineage(templates, ("a", "b"))] == ["base", "a", "c", "b"]
    assert [one.name for one in lineage(templates, ("b", "a", "none"))] == ["base", "c", "b", "a"]


def test_a_chain_of_very_many_templates_is_an_error_and_no_recursion() -> None:
    """Two thousand templates are a mistake of a generator, or malice."""
    chain = "\n".join(f"templates.t{n}.inherits = ['t{n + 1}']" for n in range(2000)) + "\ntemplates.t2000 = {}"
    project, diagnostics = joined(chain + "\nimages.a.inherits = ['t0']")
    assert codes(diagnostics)[-1] == ("too-many-templates", ("images", "a", "inherits"))
    assert len(lineage(project.templates, ("t0",))) == LINEAGE_LIMIT + 1


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef")).map(tuple)))
def test_a_found_cycle_is_one_and_none_is_found_only_where_there_is_none(edges: dict[str, tuple[str, ...]]) -> None:
    """Every reported path follows edges back to its start; without reports, the names can be put in order."""
    cycles = find_cycles(edges)
    for path in cycles:
        assert path[0] == path[-1]
        assert all(after in edges[before] for before, after in pairwise(path))
    left = dict(edges)
    while free := [name for name, targets in left.items() if not any(target in left for target in targets)]:
        for name in free:
            del left[name]
    assert bool(left) == bool(cycles)


def test_unknown_images_are_reported_wherever_they_are_named() -> None:
    """In `needs`, both forms of contexts, overrides for a platform, `extend` and groups, each at its place."""
    text = """
    [defaults]
    needs = ["nodefault"]
    [templates.t.contexts]
    a = "image:notemplate"
    [images.api]
    needs = ["api", "noneed"]
    contexts = { x = { image = "nocontext" }, y = "libs", z = "image:{{ vars.x }}" }
    extend = { needs = ["noextend"] }
    on."linux/arm64".contexts = { x = "image:noplatform" }
    [groups]
    g = ["api", "g2", "nomember"]
    g2 = ["a*"]
    """
    diagnostics = check_names(joined(text)[0], ("api",), {})
    assert codes(diagnostics) == [
        ("unknown-image", ("defaults", "needs", 0)),
        ("unknown-image", ("templates", "t", "contexts", "a")),
        ("unknown-image", ("images", "api", "needs", 1)),
        ("unknown-image", ("images", "api", "extend", "needs", 0)),
        ("unknown-image", ("images", "api", "contexts", "x", "image")),
        ("unknown-image", ("images", "api", "on", "linux/arm64", "contexts", "x")),
        ("unknown-image", ("groups", "g", 2)),
    ]


def test_a_family_can_be_needed_and_grouped_but_is_no_context() -> None:
    """A context is the data of one image."""
    text = "images.db = {}\nimages.a = {needs = ['db', 'db-1'], contexts = {x = 'image:db'}}\ngroups.g = ['db', 'db-2']"
    diagnostics = check_names(joined(text)[0], ("db-1", "db-2", "a"), {"db": ("db-1", "db-2")})
    assert codes(diagnostics) == [("unknown-image", ("images", "a", "contexts", "x"))]
    assert diagnostics[0].hints == ("name one of them: `db-1`, `db-2`",)


def test_a_group_is_no_image() -> None:
    """The message says what the name is."""
    (diagnostic,) = check_names(joined("images.a.needs = ['g']\ngroups.g = ['a']")[0], ("a",), {})
    assert diagnostic.message == "`g` is a group, and an image is expected"


def test_a_glob_of_a_group_that_matches_nothing_is_a_warning() -> None:
    """Its images may come later."""
    (diagnostic,) = check_names(joined("images.a = {}\ngroups.g = ['b*', 'a*']")[0], ("a",), {})
    assert (diagnostic.code, diagnostic.severity) == ("empty-glob", Severity.WARNING)


def test_a_group_cannot_have_the_name_of_an_image_that_a_matrix_makes() -> None:
    """Known only after the expansion."""
    project = joined("images.db = {}\ngroups.db-1 = ['db']")[0]
    assert codes(check_names(project, ("db-1",), {"db": ("db-1",)})) == [("duplicate-name", ("groups", "db-1"))]


VARS = """
[vars]
go = "1.23"
build-number = 7
ratio = 0.5
fast = false
debian = { default = "12-slim", choices = ["12-slim", "13-slim"] }
level = { choices = [1, 2] }
"""


def test_the_command_line_wins_over_the_environment_and_that_over_the_default() -> None:
    """Names in the environment are in upper case or not, with `_` for `-`."""
    environment = {"ORCHESTRATE_VAR_GO": "1.24", "orchestrate_var_Build_Number": "8", "ORCHESTRATE_VAR_LEVEL": "1"}
    values, diagnostics = resolve_vars(joined(VARS)[0], environment, {"go": "1.25", "fast": "true", "ratio": "1"})
    assert diagnostics == ()
    assert values == {
        "go": "1.25",
        "build-number": 8,
        "ratio": 1.0,
        "fast": True,
        "debian": "12-slim",
        "level": 1,
    }
    assert [str, int, float, bool] == [type(values[name]) for name in ("go", "build-number", "ratio", "fast")]


def test_a_value_has_the_type_of_the_default_and_is_one_of_the_choices() -> None:
    """The default stays where it is neither."""
    given_values = {"build-number": "x", "fast": "yes", "ratio": "nan", "debian": "11", "level": "3"}
    values, diagnostics = resolve_vars(joined(VARS)[0], {}, given_values)
    assert [diagnostic.message for diagnostic in diagnostics] == [
        "`--var build-number`: expected an integer, got `x`",
        "`--var ratio`: expected a number, got `nan`",
        "`--var fast`: expected `true` or `false`, got `yes`",
        "`--var debian`: expected one of `12-slim`, `13-slim`, got `11`",
        "`--var level`: expected one of `1`, `2`, got `3`",
    ]
    assert values == {"go": "1.23", "build-number": 7, "ratio": 0.5, "fast": False, "debian": "12-slim"}


def test_a_value_that_may_be_secret_is_not_in_a_message() -> None:
    """By the name of its var, or as a part of a URL, however long that is."""
    project = joined("[vars]\npin-token = 7\nport = 80\n")[0]
    url = f"https://me:hunter2{'x' * 80}@host"
    _, diagnostics = resolve_vars(project, {}, {"pin-token": "hunter2", "port": url})
    assert [
        ("`--var pin-token`: expected an integer, got a value that is not shown",
         ("the default is a value that is not shown, and a value has its type",)),
        ("`--var port`: expected an integer, got `https://***@host`",
         ("the default is `80`, and a value has its type",)),
    ] == [(diagnostic.message, diagnostic.hints) for diagnostic in diagnostics]  # fmt: skip


def test_an_unknown_var_is_an_error_on_the_command_line_and_a_warning_in_the_environment() -> None:
    """An environment may serve several projects."""
    _, diagnostics = resolve_vars(joined("vars.go = '1'")[0], {"HOME": "/", "ORCHESTRATE_VAR_GOO": "1"}, {"goo": "1"})
    assert [(one.severity, one.hints) for one in diagnostics] == [
        (Severity.ERROR, ("did you mean `go`?",)),
        (Severity.WARNING, ("did you mean `ORCHESTRATE_VAR_GO`?",)),
    ]


def test_a_var_without_any_value_is_an_error_at_its_place() -> None:
    """It has to be given."""
    values, diagnostics = resolve_vars(joined("vars.go.description = 'x'")[0], {}, {})
    assert values == {}
    assert codes(diagnostics) == [("var-without-value", ("vars", "go"))]


def test_one_environment_variable_for_two_vars_is_an_error() -> None:
    """So are two variables with different values for one var."""
    project = joined("vars = {a_b = '1', A_B = '2', c = '3'}")[0]
    environment = {"ORCHESTRATE_VAR_A_B": "x", "ORCHESTRATE_VAR_C": "y", "orchestrate_var_c": "z"}
    values, diagnostics = resolve_vars(project, environment, {})
    assert [one.code for one in diagnostics] == ["ambiguous-var", "ambiguous-var"]
    assert values == {"a_b": "1", "A_B": "2", "c": "y"}


def test_images_without_errors_are_kept_apart_from_broken_ones() -> None:
    """A mistake in one image leaves the others to be looked at; one in what they share leaves nothing."""
    project, _ = joined('[images.a]\ncontext = "a"\n[images.b]\ncontext = "b"\n')
    in_image = Diagnostic(code="x", message="", place=KeyPlace(file="builds.toml", keys=("images", "a", "context")))
    in_defaults = Diagnostic(code="x", message="", place=KeyPlace(file="builds.toml", keys=("defaults", "tags")))
    kept = without_broken_images(project, (in_image,))
    assert kept is not None
    assert ["b"] == [image.name for image in kept.images]
    assert without_broken_images(project, (in_image, in_defaults)) is None
