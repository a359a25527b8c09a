/**
 * A bitmap font of 5x9 pixels, as a picture of itself: what labels need (names of schedulers, numbers, a few
 * words) is 41 characters, for which a library, or a font file and what draws it, would be out of proportion.
 */
import type { RgbaImage } from "../request.ts";

const WIDTH = 5;
const HEIGHT = 9;

/** Blocks of a line of characters and the nine lines below it that draw them, # for ink. */
const GLYPHS = glyphsOf(`
    0     1     2     3     4     5     6     7     8     9     a     b
  .###. ..#.. .###. .###. ...#. ##### ..##. ##### .###. .###. ..... #....
  #...# .##.. #...# #...# ..##. #.... .#... ....# #...# #...# ..... #....
  #..## ..#.. ....# ....# .#.#. ####. #.... ...#. #...# #...# .###. ####.
  #.#.# ..#.. ..##. ..##. #..#. ....# ####. ..#.. .###. .#### ....# #...#
  ##..# ..#.. .#... ....# ##### ....# #...# ..#.. #...# ....# .#### #...#
  #...# ..#.. #.... #...# ...#. #...# #...# ..#.. #...# ...#. #...# #...#
  .###. .###. ##### .###. ...#. .###. .###. ..#.. .###. .##.. .#### ####.
  ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... .....
  ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... ..... .....
    c     d     e     f     g     h     i     j     k     l     m     n
  ..... ....# ..... ..##. ..... #.... ..#.. ...#. #.... .##.. ..... .....
  ..... ....# ..... .#... ..... #.... ..... ..... #.... ..#.. ..... .....
  .#### .#### .###. ####. .#### ####. .##.. ..##. #..#. ..#.. ##.#. ####.
  #.... #...# #...# .#... #...# #...# ..#.. ...#. #.#.. ..#.. #.#.# #...#
  #.... #...# ##### .#... #...# #...# ..#.. ...#. ##... ..#.. #.#.# #...#
  #.... #...# #.... .#... #...# #...# ..#.. ...#. #.#.. ..#.. #.#.# #...#
  .#### .#### .###. .#... .#### #...# .###. ...#. #..#. .###. #.#.# #...#
  ..... ..... ..... ..... ....# ..... ..... #..#. ..... ..... ..... .....
  ..... ..... ..... ..... .###. ..... ..... .##.. ..... ..... ..... .....
    o     p     q     r     s     t     u     v     w     x     y     z
  ..... ..... ..... ..... ..... .#... ..... ..... ..... ..... ..... .....
  ..... ..... ..... ..... ..... .#... ..... ..... ..... ..... ..... .....
  .###. ####. .#### #.##. .#### ####. #...# #...# #...# #...# #...# #####
  #...# #...# #...# ##... #.... .#... #...# #...# #.#.# .#.#. #...# ...#.
  #...# #...# #...# #.... .###. .#... #...# #...# #.#.# ..#.. #...# ..#..
  #...# #...# #...# #.... ....# .#... #...# .#.#. #.#.# .#.#. #...# .#...
  .###. ####. .#### #.... ####. ..##. .#### ..#.. .#.#. #...# .#### #####
  ..... #.... ....# ..... ..... ..... ..... ..... ..... ..... ....# .....
  ..... #.... ....# ..... ..... ..... ..... ..... ..... ..... .###. .....
    _     .     -     +     ?
  ..... ..... ..... ..... .###.
  ..... ..... ..... ..#.. #...#
  ..... ..... ..... ..#.. ....#
  ..... ..... .###. ##### ..##.
  ..... ..... ..... ..#.. ..#..
  ..... .##.. ..... ..#.. .....
  ..... .##.. ..... ..... ..#..
  ##### ..... ..... ..... .....
  ..... ..... ..... ..... .....
`);

/** Pixels from a character to the next, and of a line, before it is scaled. */
const ADVANCE = WIDTH + 1;
export const LINE_HEIGHT = HEIGHT + 2;

function glyphsOf(art: string): ReadonlyMap<string, readonly string[]> {
  const lines = art.split("\n").slice(1, -1);
  const glyphs = new Map<string, readonly string[]>();
  for (let top = 0; top < lines.length; top += 1 + HEIGHT) {
    for (const { 0: character, index } of lines[top]!.matchAll(/\S/g)) {
      const rows = lines.slice(top + 1, top + 1 + HEIGHT);
      // Each character stands over the middle of its drawing.
      glyphs.set(
        character,
        rows.map((row) => row.slice(index - 2, index + 3)),
      );
    }
  }
  return glyphs;
}

/** Pixels that a text takes from left to right. */
export function textWidth(text: string, scale: number): number {
  return scale * Math.max(0, ADVANCE * text.length - 1);
}

/**
 * Writes a line of black text, its upper left corner at (x, y), each pixel of the font a square of `scale`.
 * Upper case becomes lower case, and what the font lacks a question mark. What lies outside is left out.
 */
export function drawText(
  image: RgbaImage,
  text: string,
  x: number,
  y: number,
  scale: number,
): void {
  [...text.toLowerCase()].forEach((character, i) => {
    const glyph = character === " " ? [] : (GLYPHS.get(character) ?? GLYPHS.get("?")!);
    glyph.forEach((row, dy) => {
      [...row].forEach((ink, dx) => {
        const left = x + scale * (ADVANCE * i + dx);
        if (ink === "#") square(image, left, y + scale * dy, scale);
      });
    });
  });
}

function square({ width, height, data }: RgbaImage, x: number, y: number, side: number): void {
  for (let row = Math.max(0, y); row < Math.min(height, y + side); row++) {
    for (let column = Math.max(0, x); column < Math.min(width, x + side); column++) {
      data.set([0, 0, 0, 255], 4 * (row * width + column));
    }
  }
}
