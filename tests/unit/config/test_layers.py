"""The layers of an image's attributes, for every attribute that the schema has."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from orchestrator.config.assign import Origin, parse_assignments
from orchestrator.config.keys import ATTRIBUTES, BUILD_ATTRIBUTES, EXTENDABLE, MERGED
from orchestrator.config.layers import Layer, effective, inherited_state, layers_on, on_platform
from orchestrator.config.merging import State, build_table, holds, merge, merged
from orchestrator.config.schema import CommonTable
from tests.unit.config.samples import (
    AMD,
    ARM,
    TABLES,
    TEMPLATES,
    TREES,
    TYPES,
    Tree,
    assignment,
    only,
    parsed,
    project_of,
    sample,
)


def test_the_attributes_that_merge_are_those_that_are_tables_with_free_keys() -> None:
    """A new attribute of such a type has to be merged as well."""
    assert {key for key, kind in TYPES.items() if isinstance(sample(kind, 0), dict)} - {"test", "version"} == {
        "on",
        *(key for key, field in ATTRIBUTES.items() if field in MERGED),
    }


LAYERS = ("defaults", "low template", "high template", "image", "platform", "environment", "command line")


@pytest.mark.parametrize("key", TYPES)
@pytest.mark.parametrize(("lower", "upper"), list(pairwise(LAYERS)))
def test_each_layer_wins_over_the_one_below(key: str, lower: str, upper: str) -> None:
    """For every attribute; an override for a platform has the attributes of a platform build."""
    if key not in BUILD_ATTRIBUTES and "platform" in {lower, upper}:
        lower, upper = ("image", "environment")
    values = {lower: sample(TYPES[key], 1), upper: sample(TYPES[key], 2)}
    if not isinstance(values[lower], dict):
        assert values[lower] != values[upper]
    table = {layer: {key: values[layer]} if layer in values else {} for layer in LAYERS}
    tree: Tree = {
        "defaults": table["defaults"],
        "templates": {"low": table["low template"], "high": {"inherits": ["low"], **table["high template"]}},
        "images": {"a": {"inherits": ["high"], **table["image"]}},
    }
    if table["platform"]:
        tree["images"] = {"a": {"inherits": ["high"], **table["image"], "on": {"linux/arm64": table["platform"]}}}
    project = project_of(tree)
    assignments = tuple(
        assignment(key, values[origin], origin)
        for origin in ("command line", "environment")  # the order in which they are given does not matter
        if origin in values
    )
    result = effective(project, project.images[0], assignments)
    expected = merge(*(msgspec.convert({key: values[layer]}, CommonTable) for layer in (lower, upper)))
    if key in BUILD_ATTRIBUTES:
        assert getattr(expected, ATTRIBUTES[key]) == getattr(on_platform(result, ARM), ATTRIBUTES[key])
    if "platform" not in {lower, upper}:
        assert getattr(expected, ATTRIBUTES[key]) == getattr(result.table, ATTRIBUTES[key])


@given(TABLES, TABLES, TABLES)
def test_merging_is_associative(low: CommonTable, middle: CommonTable, high: CommonTable) -> None:
    """So what is inherited can be merged once and kept."""
    expected = merge(low, middle, high)
    assert expected == merge(merge(low, middle), high)
    assert expected == merge(low, merge(middle, high))


@given(TABLES)
def test_an_empty_table_changes_nothing(table: CommonTable) -> None:
    """Above or below."""
    expected = merge(table)
    assert expected == merge(CommonTable(), table)
    assert expected == merge(table, CommonTable())
    assert expected == merge(table, table)


def test_tables_merge_one_level_and_lists_replace() -> None:
    """As the comments of the example say."""
    project = parsed(
        """
        defaults = { labels = { a = { value = "1", volatile = true }, b = "1" }, tags = ["x", "y"] }
        images.a = { labels = { a = "2" }, tags = ["z"] }
        """
    )
    assert only(project).table.labels != {"a": "2", "b": msgspec.UNSET}
    assert only(project).table.labels == {"a": "2", "b": "1"}
    assert only(project).table.tags == ["z"]


def test_overrides_merge_platform_by_platform_and_then_one_level() -> None:
    """Two spellings of a platform are one."""
    project = parsed(
        """
        defaults.args = { A = "0", B = "0" }
        templates.t.on."linux/arm64/v8" = { target = "t", args = { A = "1", C = "1" } }
        images.a = { inherits = ["t"], target = "i", args = { C = "i", D = "i" }, on."linux/arm64".args = { C = "2" } }
        """
    )
    arm, amd = on_platform(only(project), ARM), on_platform(only(project), AMD)
    assert (arm.target, arm.args) == ("t", {"A": "1", "B": "0", "C": "2", "D": "i"})
    assert (amd.target, amd.args) == ("i", {"A": "0", "B": "0", "C": "i", "D": "i"})


@given(TREES, TREES, TREES, st.lists(st.tuples(st.sampled_from(("environment", "command line")), TREES), max_size=4))
def test_a_platform_has_what_its_layers_give_from_the_bottom(
    defaults: Tree, template: Tree, image: Tree, settings: list[tuple[Origin, Tree]]
) -> None:
    """The fast way and the definition agree."""
    project = project_of(
        {"defaults": defaults, "templates": {"t": template}, "images": {"a": {**image, "inherits": ["t"]}}}
    )
    assignments = tuple(assignment(key, value, origin) for origin, tree in settings for key, value in tree.items())
    result = effective(project, project.images[0], assignments)
    state: State = {}
    for layer in layers_on(result, ARM):
        state = merged(state, layer.table)
    assert build_table(state) == on_platform(result, ARM)


def test_the_defaults_of_a_file_are_for_its_own_images() -> None:
    """Even where they inherit a template of another file."""
    project = parsed(
        "defaults = { target = 'root', shm-size = '1m' }\ntemplates.t.args.A = 'root'\nimages.a.inherits = ['t']",
        team="defaults.target = 'team'\nimages.b.inherits = ['t']",
    )
    tables = [effective(project, image).table for image in project.images]
    assert [(table.target, table.shm_size, table.args) for table in tables] == [
        ("root", "1m", {"A": "root"}),
        ("team", UNSET, {"A": "root"}),
    ]


def test_layers_are_called_by_what_they_are() -> None:
    """For people who ask where a value comes from."""
    project = parsed(
        """
        templates.t.on."linux/arm64".target = "x"
        images.a = { inherits = ["t"], on."linux/arm64".target = "y" }
        """
    )
    result = effective(
        project,
        project.images[0],
        (assignment("target", "c", "command line"), assignment("target", "e", "environment")),
    )
    assert [layer.name for layer in layers_on(result, ARM)] == [
        "defaults",
        "template t",
        "image a",
        'on."linux/arm64"',
        'on."linux/arm64"',
        "environment",
        "command line",
    ]
    assert [layer.name for layer in layers_on(result, AMD)] == [layer.name for layer in result.layers]


def test_an_assignment_is_for_the_name_after_expansion_or_the_declared_one() -> None:
    """`--set db-16.target=x` is for one image of the matrix, `--set db.target=x` for all."""
    project = parsed("images.db = { name = 'db-{{ matrix.v }}', matrix.v = ['15', '16'] }")
    assignments, _ = parse_assignments(("db-16.target=one", "db.dockerfile=all", "x*.context=none"), "environment")
    tables = [effective(project, project.images[0], assignments, name=name).table for name in ("db-15", "db-16")]
    assert [(table.target, table.dockerfile, table.context) for table in tables] == [
        (UNSET, "all", UNSET),
        ("one", "all", UNSET),
    ]
    assert tables[0].matrix == {"v": ["15", "16"]}


@pytest.mark.parametrize("key", EXTENDABLE)
def test_extend_appends_to_the_inherited_list(key: str) -> None:
    """Of every list, in every layer; it is the list where none is inherited."""
    low, middle, high = (sample(TYPES[key], number) for number in (0, 1, 2))
    project = project_of(
        {
            "defaults": {key: low},
            "templates": {"t": {"extend": {key: middle}}},
            "images": {"a": {"inherits": ["t"], "extend": {key: high}}, "b": {"inherits": ["t"]}},
        }
    )
    assert isinstance(low, list)
    assert isinstance(middle, list)
    assert isinstance(high, list)
    wanted = [{key: [*low, *middle, *high]}, {key: [*low, *middle]}]
    tables = [effective(project, image).table for image in project.images]
    assert [getattr(msgspec.convert(one, CommonTable), ATTRIBUTES[key]) for one in wanted] == [
        getattr(table, ATTRIBUTES[key]) for table in tables
    ]
    alone = project_of({"images": {"a": {"extend": {key: high}}}})
    assert only(alone).table == msgspec.structs.replace(
        only(project_of({"images": {"a": {key: high}}})).table, extend=UNSET
    )


@pytest.mark.parametrize("key", TYPES)
def test_unset_drops_what_is_inherited_and_not_what_is_written_beside_it(key: str) -> None:
    """For every attribute."""
    project = project_of(
        {
            "defaults": {key: sample(TYPES[key], 1)},
            "images": {"a": {"unset": [key]}, "b": {"unset": [key], key: sample(TYPES[key], 2)}},
        }
    )
    tables = [effective(project, image).table for image in project.images]
    expected = merge(msgspec.convert({key: sample(TYPES[key], 2)}, CommonTable))
    assert [UNSET, getattr(expected, ATTRIBUTES[key])] == [getattr(table, ATTRIBUTES[key]) for table in tables]


def test_unset_drops_single_entries_of_tables_and_of_overrides() -> None:
    """Dotted keys are written as in TOML."""
    project = parsed(
        r"""
        defaults.labels = { "org.acme.a" = "1", b = "1" }
        defaults.on."linux/arm64" = { target = "x", args = { A = "1", B = "1" } }
        defaults.on."linux/amd64".target = "y"
        images.a.unset = ['labels . "org.acme\u002ea"', "on.'linux/arm64/v8'.args.A", 'on."linux/amd64"']
        """
    )
    table = only(project).table
    assert table.labels == {"b": "1"}
    assert list(table.on or ()) == ["linux/arm64"]
    assert (on_platform(only(project), ARM).target, on_platform(only(project), ARM).args) == ("x", {"B": "1"})


@given(TREES, TEMPLATES)
def test_what_unset_names_is_gone_from_what_is_inherited(defaults: Tree, image: Tree) -> None:
    """Whatever it names; what is no key at all is not looked at."""
    for key in TYPES:
        image.pop(key, None)
    image["extend"] = {}
    project = project_of({"defaults": defaults, "images": {"a": image}})
    before = inherited_state(project, project.images[0])
    after = only(project).table
    state: State = {field: getattr(after, field) for field in ATTRIBUTES.values() if getattr(after, field) is not UNSET}
    assert isinstance(image["unset"], list)
    dropped = {field for key, field in ATTRIBUTES.items() if key in image["unset"]}
    assert before.keys() - dropped == state.keys()
    assert not holds(state, ("args", "shared")) or "args.shared" not in image["unset"]


def test_a_layer_holds_the_table_as_it_is_written() -> None:
    """With the folder and the keys where it stands."""
    project = parsed("templates.t.target = 'x'", team="images.a.inherits = ['t']")
    template = only(project).layers[1]
    assert (
        Layer(
            name="template t",
            table=project.templates["t"].table,
            file="builds.toml",
            folder="",
            keys=("templates", "t"),
        )
        == template
    )
