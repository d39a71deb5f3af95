"""Draws four characters and four dances that are easy to tell apart. Pure Pillow, no files."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

from attrs import frozen
from PIL import Image, ImageDraw, ImageFont

_GRID = (300, 400)  #: what shapes and poses are drawn on
_FINE = 4  #: pixels of a picture's sketch per unit of the grid; halved for smooth edges
_INK = "#1b1f2a"

Point = tuple[float, float]
Shape = tuple[Literal["oval", "box", "polygon"], tuple[float, ...], str]


@frozen
class Character:
    """A figure of plain shapes.

    :param backdrop: the colour of the wall, and of the disc behind the figure.
    """

    backdrop: tuple[str, str]
    shapes: tuple[Shape, ...]


CHARACTERS: Mapping[str, Character] = MappingProxyType(
    {
        "robot": Character(
            ("#0f3d4c", "#1c6478"),
            (
                ("box", (147, 52, 153, 84), "#c9d6df"),
                ("oval", (140, 40, 160, 60), "#ff5d5d"),
                ("box", (62, 208, 86, 300), "#8fa6b5"),
                ("box", (214, 208, 238, 300), "#8fa6b5"),
                ("box", (112, 310, 140, 360), "#8fa6b5"),
                ("box", (160, 310, 188, 360), "#8fa6b5"),
                ("box", (92, 80, 208, 184), "#c9d6df"),
                ("oval", (110, 104, 142, 136), _INK),
                ("oval", (158, 104, 190, 136), _INK),
                ("oval", (120, 112, 134, 126), "#4ff0ff"),
                ("oval", (168, 112, 182, 126), "#4ff0ff"),
                ("box", (116, 150, 184, 168), _INK),
                ("box", (92, 196, 208, 314), "#c9d6df"),
                ("oval", (126, 226, 174, 274), "#ffb13d"),
            ),
        ),
        "fox": Character(
            ("#2f5d3a", "#4b8a57"),
            (
                ("oval", (190, 220, 280, 350), "#e8702a"),
                ("oval", (236, 214, 284, 268), "#fff3e2"),
                ("oval", (88, 200, 212, 372), "#e8702a"),
                ("oval", (116, 232, 184, 366), "#fff3e2"),
                ("polygon", (72, 124, 82, 32, 146, 92), "#e8702a"),
                ("polygon", (228, 124, 218, 32, 154, 92), "#e8702a"),
                ("polygon", (88, 106, 92, 58, 122, 90), _INK),
                ("polygon", (212, 106, 208, 58, 178, 90), _INK),
                ("oval", (66, 76, 234, 216), "#e8702a"),
                ("polygon", (70, 152, 150, 148, 146, 226), "#fff3e2"),
                ("polygon", (230, 152, 150, 148, 154, 226), "#fff3e2"),
                ("oval", (104, 122, 124, 146), _INK),
                ("oval", (176, 122, 196, 146), _INK),
                ("oval", (138, 204, 162, 226), _INK),
            ),
        ),
        "penguin": Character(
            ("#7fb8e6", "#c4e2f7"),
            (
                ("polygon", (84, 190, 30, 290, 92, 280), _INK),
                ("polygon", (216, 190, 270, 290, 208, 280), _INK),
                ("oval", (70, 64, 230, 366), _INK),
                ("oval", (96, 170, 204, 356), "#ffffff"),
                ("oval", (92, 96, 154, 178), "#ffffff"),
                ("oval", (146, 96, 208, 178), "#ffffff"),
                ("oval", (116, 122, 138, 148), _INK),
                ("oval", (162, 122, 184, 148), _INK),
                ("polygon", (126, 158, 174, 158, 150, 190), "#ffa51f"),
                ("oval", (84, 348, 142, 374), "#ffa51f"),
                ("oval", (158, 348, 216, 374), "#ffa51f"),
                ("box", (92, 196, 208, 216), "#d83a4a"),
                ("box", (168, 206, 190, 268), "#d83a4a"),
            ),
        ),
        "frog": Character(
            ("#5b2a6e", "#8b4aa3"),
            (
                ("oval", (38, 292, 116, 372), "#3fa34d"),
                ("oval", (184, 292, 262, 372), "#3fa34d"),
                ("oval", (84, 180, 216, 368), "#57c163"),
                ("oval", (108, 220, 192, 362), "#e6f7b0"),
                ("oval", (54, 96, 246, 226), "#57c163"),
                ("oval", (68, 58, 134, 128), "#57c163"),
                ("oval", (166, 58, 232, 128), "#57c163"),
                ("oval", (80, 68, 124, 114), "#ffffff"),
                ("oval", (176, 68, 220, 114), "#ffffff"),
                ("oval", (96, 80, 116, 104), _INK),
                ("oval", (184, 80, 204, 104), _INK),
                ("oval", (84, 150, 216, 204), _INK),
                ("oval", (80, 140, 220, 190), "#57c163"),
                ("polygon", (112, 60, 118, 14, 136, 40, 150, 8, 164, 40, 182, 14, 188, 60), "#ffd23f"),
            ),
        ),
    }
)


@frozen(kw_only=True)
class Pose:
    """A dancer at one instant: angles in degrees, 0 hangs down, positive is the viewer's right.

    :param at: where the hip is, on the grid.
    :param lean: of the back.
    :param arms: left and right, each upper and lower.
    :param legs: likewise.
    """

    at: Point
    lean: float
    arms: tuple[Point, Point]
    legs: tuple[Point, Point]


@frozen
class Dance:
    """A way to move, in colours of its own.

    :param wall: what is behind.  :param figure: the dancer's colour.
    :param pose: tells how the dancer stands after so many beats.
    """

    wall: str
    figure: str
    pose: Callable[[float], Pose]


def _wave(beat: float) -> Pose:
    swing = math.sin(math.tau * beat)
    arms = ((-118.0, -165 + 32 * swing), (118.0, 165 + 32 * swing))
    return Pose(at=(140 + 10 * swing, 248), lean=6 * swing, arms=arms, legs=((-12, -8), (12, 8)))


def _jump(beat: float) -> Pose:
    up = abs(math.sin(math.pi * beat))
    spread = 20 + 115 * up
    return Pose(
        at=(140, 248 - 68 * up),
        lean=0,
        arms=((-spread, -spread - 10), (spread, spread + 10)),
        legs=((-10 - 35 * up, -5 - 35 * up), (10 + 35 * up, 5 + 35 * up)),
    )


def _sway(beat: float) -> Pose:
    swing = math.sin(math.tau * beat)
    return Pose(
        at=(140 + 42 * swing, 248),
        lean=14 * swing,
        arms=((-70 - 30 * swing, -110), (70 - 30 * swing, 110)),
        legs=((-10 - 22 * swing, -4 - 22 * swing), (10 - 22 * swing, 4 - 22 * swing)),
    )


def _kick(beat: float) -> Pose:
    left, right = max(0.0, math.sin(math.tau * beat)), max(0.0, -math.sin(math.tau * beat))
    return Pose(
        at=(140, 248),
        lean=10 * (left - right),
        arms=((-60 - 20 * right, -120), (60 + 20 * left, 120)),
        legs=((-6 - 92 * left, -6 - 86 * left), (6 + 92 * right, 6 + 86 * right)),
    )


DANCES: Mapping[str, Dance] = MappingProxyType(
    {
        "wave": Dance("#fbe3d6", "#c8321f", _wave),
        "jump": Dance("#d8e8fb", "#1c4fb8", _jump),
        "sway": Dance("#dff3dc", "#1d7a34", _sway),
        "kick": Dance("#1e1b2e", "#ffcf3f", _kick),
    }
)


def portrait(name: str) -> Image.Image:
    """Draw a character, 600 x 800 pixels."""
    character = CHARACTERS[name]
    wall, disc = character.backdrop
    picture, pen = _canvas(_FINE, wall)
    shapes: tuple[Shape, ...] = (("oval", (20, 70, 280, 330), disc), ("oval", (60, 352, 240, 388), _INK))
    for kind, points, colour in shapes + character.shapes:
        _draw(pen, kind, [point * _FINE for point in points], colour)
    return picture.reduce(2)


def dancing(name: str, beat: float, *, side: int) -> Image.Image:
    """Draw one frame of a dance.

    :param side: the frame's width in pixels; its height is four thirds of that.
    """
    dance = DANCES[name]
    unit = 2 * side // _GRID[0] / 2
    picture, pen = _canvas(2 * unit, dance.wall)
    pen.rectangle(_scaled((0, 350, 300, 400), 2 * unit), fill=_mixed(dance.wall))
    pose = dance.pose(beat)
    neck = _reach(pose.at, 180 + pose.lean, 88)
    bones = [(pose.at, neck)]
    for shoulder, limbs, length in ((neck, pose.arms, 44), (pose.at, pose.legs, 54)):
        for upper, lower in limbs:
            joint = _reach(shoulder, upper, length)
            bones += [(shoulder, joint), (joint, _reach(joint, lower, length))]
    for start, end in bones:
        _bone(pen, start, end, 2 * unit, dance.figure)
    _blob(pen, _reach(neck, 180 + pose.lean, 30), 27, 2 * unit, dance.figure)
    pen.text((20 * unit, 16 * unit), name.upper(), fill=dance.figure, font=ImageFont.load_default(44 * unit))
    return picture.reduce(2)


def _canvas(scale: float, colour: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("RGB", (round(_GRID[0] * scale), round(_GRID[1] * scale)), colour)
    return picture, ImageDraw.Draw(picture)


def _draw(pen: ImageDraw.ImageDraw, kind: str, points: list[float], colour: str) -> None:
    if kind == "oval":
        pen.ellipse(points, fill=colour)
    elif kind == "box":
        pen.rounded_rectangle(points, radius=8 * _FINE, fill=colour)
    else:
        pen.polygon(points, fill=colour)


def _bone(pen: ImageDraw.ImageDraw, start: Point, end: Point, scale: float, colour: str) -> None:
    pen.line(_scaled((*start, *end), scale), fill=colour, width=round(14 * scale))
    for joint in (start, end):
        _blob(pen, joint, 7, scale, colour)


def _blob(pen: ImageDraw.ImageDraw, middle: Point, radius: float, scale: float, colour: str) -> None:
    x, y = middle
    pen.ellipse(_scaled((x - radius, y - radius, x + radius, y + radius), scale), fill=colour)


def _reach(start: Point, degrees: float, length: float) -> Point:
    turn = math.radians(degrees)
    return start[0] + length * math.sin(turn), start[1] + length * math.cos(turn)


def _scaled(points: tuple[float, ...], scale: float) -> list[float]:
    return [point * scale for point in points]


def _mixed(colour: str) -> tuple[int, ...]:
    """Return a colour halfway to grey, for the floor."""
    return tuple((int(colour[at : at + 2], 16) + 128) // 2 for at in (1, 3, 5))
