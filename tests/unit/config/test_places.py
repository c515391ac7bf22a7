"""Where the effective values of an image were written."""

from __future__ import annotations

import msgspec
from hypothesis import given

from orchestrator.config.keys import ATTRIBUTES, MERGED
from orchestrator.config.layers import folder_of, on_platform, place_of
from orchestrator.diagnostics import KeyPlace
from tests.unit.config.samples import ARM, TEMPLATES, TREES, TYPES, Tree, only, parsed, project_of


def at(tree: object, keys: tuple[str | int, ...]) -> object:
    """What stands at these keys of a document."""
    for key in keys:
        if isinstance(tree, list) and isinstance(key, int):
            tree = tree[key]
        else:
            assert isinstance(tree, dict)
            tree = tree[key]
    return tree


def leaves(attributes: Tree) -> list[tuple[tuple[str | int, ...], object]]:
    """Each value, and each entry of a table or list that is an attribute."""
    found: list[tuple[tuple[str | int, ...], object]] = []
    for key, value in attributes.items():
        if key not in TYPES or key == "on":
            continue
        if isinstance(value, list):
            found.extend(((key, position), item) for position, item in enumerate(value))
        elif isinstance(value, dict) and ATTRIBUTES[key] in MERGED:
            found.extend(((key, inner), item) for inner, item in value.items())
        else:
            found.append(((key,), value))
    return found


@given(TREES, TEMPLATES, TEMPLATES, TEMPLATES)
def test_every_value_stands_at_the_place_that_is_said_of_it(low: Tree, base: Tree, high: Tree, image: Tree) -> None:
    """Through `unset`, `extend` and overrides: the document has exactly that value there."""
    tree: Tree = {
        "defaults": low,
        "templates": {"base": base, "high": {**high, "inherits": ["base"]}},
        "images": {"a": {**image, "inherits": ["high"]}},
    }
    result = only(project_of(tree))
    for keys, value in leaves(msgspec.to_builtins(result.table)):
        assert value == at(tree, place_of(result, keys).keys)
    for keys, value in leaves(msgspec.to_builtins(on_platform(result, ARM))):
        assert value == at(tree, place_of(result, keys, platform=ARM).keys)


def test_places_lead_into_the_file_and_the_table_that_wrote_the_value() -> None:
    """Paths are relative to the folder of that file."""
    project = parsed(
        """
        [templates.t]
        context = "src"
        contexts.lib = "libs"
        on."linux/arm64/v8".contexts.lib = "arm"
        """,
        team="images.a = { inherits = ['t'], contexts.own = 'own', on.'linux/arm64'.target = 'x' }",
    )
    result = only(project)
    assert KeyPlace(file="builds.toml", keys=("templates", "t", "context")) == place_of(result, ("context",))
    assert KeyPlace(file="team/b.toml", keys=("images", "a", "contexts", "own")) == place_of(
        result, ("contexts", "own")
    )
    assert KeyPlace(file="builds.toml", keys=("templates", "t", "on", "linux/arm64/v8", "contexts", "lib")) == place_of(
        result, ("contexts", "lib"), platform=ARM
    )
    assert KeyPlace(file="team/b.toml", keys=("images", "a", "on", "linux/arm64", "target")) == place_of(
        result, ("on", "linux/arm64", "target")
    )
    assert [folder_of(result, ("contexts", name)) for name in ("lib", "own")] == ["", "team"]


def test_positions_and_platforms_of_overrides_are_those_of_the_document() -> None:
    """However the platform is spelled; a list in an override is a list of its own."""
    project = parsed(
        """
        defaults.ssh = ["a"]
        defaults.on."linux/arm64".ssh = ["b", "c"]
        [images.a]
        extend.ssh = ["d"]
        on = { "linux/arm64/v8" = { target = "x" }, "linux/amd64" = { ssh = ["e"] }, z = { pull = true } }
        """
    )
    result = only(project)
    assert place_of(result, ("ssh", 1)).keys == ("images", "a", "extend", "ssh", 0)
    assert place_of(result, ("ssh",)).keys == ("images", "a", "extend", "ssh")
    assert place_of(result, ("ssh", 1), platform=ARM).keys == ("defaults", "on", "linux/arm64", "ssh", 1)
    assert place_of(result, ("on", "linux/arm64", "ssh", 0)).keys == ("defaults", "on", "linux/arm64", "ssh", 0)
    assert place_of(result, ("on", "linux/arm64")).keys == ("images", "a", "on", "linux/arm64/v8")
    assert place_of(result, ("on", "z", "pull")).keys == ("images", "a", "on", "z", "pull")
    assert place_of(result, ("on", "linux/386")).keys == ("images", "a")
    assert place_of(result, ("ssh", 9)).keys == ("images", "a", "extend", "ssh", 8)


def test_what_nobody_wrote_is_at_the_image() -> None:
    """Its context is called like it, and stands beside its file; an assignment is relative to the root file."""
    project = parsed("", team="images.a.name = 'x'")
    image = KeyPlace(file="team/b.toml", keys=("images", "a"), on_key=True)
    assert (image, "team") == (place_of(only(project), ("context",)), folder_of(only(project), ("context",)))
    result = only(project, "a.context=src")
    assert (image, "") == (place_of(result, ("context",)), folder_of(result, ("context",)))
    assert KeyPlace(file="team/b.toml", keys=("images", "a", "name")) == place_of(result, ("name",))
    assert folder_of(result, ("name",)) == "team"
