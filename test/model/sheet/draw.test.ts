import assert from "node:assert/strict";
import { SCHEDULERS } from "../../../model/request.ts";
import { drawSheet, type SheetLayout, sheetGeometry } from "../../../model/sheet/draw.ts";
import { drawText, textWidth } from "../../../model/sheet/font.ts";
import { cropped } from "../../support/crop.ts";
import { gradient } from "../../support/fake-pipeline.ts";

const white = (width: number, height: number) => ({
  ...{ width, height },
  data: new Uint8ClampedArray(4 * width * height).fill(255),
});

function art(text: string, scale = 1): string[] {
  const image = white(textWidth(text, scale), 9 * scale);
  drawText(image, text, 0, 0, scale);
  return Array.from({ length: image.height }, (_, y) =>
    Array.from({ length: image.width }, (_, x) =>
      image.data[4 * (y * image.width + x)] === 0 ? "#" : ".",
    ).join(""),
  );
}

describe("the font", () => {
  it("draws a letter as its picture shows it, and each pixel as a square", () => {
    assert.deepEqual(art("7."), [
      "#####......",
      "....#......",
      "...#.......",
      "..#........",
      "..#........",
      "..#....##..",
      "..#....##..",
      "...........",
      "...........",
    ]);
    assert.deepEqual(
      art("7", 3).filter((_, y) => y % 3 === 1),
      art("7").map((row) => row.replace(/./g, (ink) => ink.repeat(3))),
    );
  });

  it("has what labels hold, each unlike the others, and a question mark for the rest", () => {
    const labels = [...SCHEDULERS, "guidance 7.5", "25 steps", "seed 0123456789", "1e-7", "1e+21"];
    const characters = new Set(labels.join("").replaceAll(" ", ""));
    const drawn = [...characters].map((character) => art(character).join());
    assert.equal(new Set([...drawn, art("?").join()]).size, characters.size + 1);
    assert.deepEqual(art("é"), art("?"));
    assert.deepEqual(art("DDIM"), art("ddim"));
    assert.ok(art(" ").every((row) => row === "....."));
  });

  it("leaves out what lies beyond the picture", () => {
    const image = white(8, 4);
    drawText(image, "88", -3, -2, 1);
    drawText(image, "8", 7, 1, 9);
    assert.equal(image.data.length, 128);
    assert.ok(image.data.includes(0));
  });
});

describe("a sheet", () => {
  const images = Array.from({ length: 5 }, (_, i) => gradient(16, 8, 1000 * i));
  const layouts: readonly SheetLayout[] = [
    { columns: 2 },
    { columns: 3, gap: 1, captions: ["a", "b", "guidance 1.5", "d", "e"] },
    { columns: 2, columnLabels: ["1 step", "2 steps"], rowLabels: [["a"], ["b"], ["euler_a"]] },
  ];
  for (const layout of layouts) {
    it(`has every picture where it says: ${Object.keys(layout).join(", ")}`, () => {
      const sheet = drawSheet(images, layout);
      const { width, height, places } = sheetGeometry(images[0]!, images.length, layout);
      assert.deepEqual([sheet.width, sheet.height], [width, height]);
      images.forEach((image, i) => {
        assert.deepEqual(cropped(sheet, places[i]!, image), image, `picture ${i}`);
      });
    });
  }

  it("makes room for labels, which touch no picture", () => {
    const layout = layouts[2]!;
    const { places, width } = sheetGeometry(images[0]!, 4, layout);
    // "2 steps" is wider than a picture, "euler_a" than nothing.
    assert.deepEqual(places[0], { x: textWidth("euler_a", 1) + 8, y: 15 });
    assert.equal(places[1]!.x - places[0]!.x, textWidth("2 steps", 1) + 4);
    const blank = images.map(() => white(16, 8));
    const sheet = drawSheet(blank, layout);
    const ink = Array.from({ length: sheet.width * sheet.height }, (_, i) => i).filter(
      (i) => sheet.data[4 * i] === 0,
    );
    const inside = (i: number) =>
      places.some(({ x, y }) => {
        const [column, row] = [i % width, Math.floor(i / width)];
        return column >= x && column < x + 16 && row >= y && row < y + 8;
      });
    assert.ok(ink.length > 100);
    assert.deepEqual(ink.filter(inside), []);
  });
});
