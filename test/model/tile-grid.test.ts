import assert from "node:assert/strict";
import { tileGrid } from "../../model/tile-grid.ts";

const CASES = [
  ...[[16, 16, 16, 4] as const, [17, 16, 16, 4] as const, [28, 20, 16, 6] as const],
  ...[[1024, 1024, 256, 64] as const, [520, 1000, 512, 256] as const, [24, 64, 16, 0] as const],
];

describe("tiles of a canvas", () => {
  it("cover it, are of one size, and lie within it", () => {
    for (const [height, width, most, overlap] of CASES) {
      const { tile, places } = tileGrid({ height, width }, most, overlap);
      assert.ok(tile.height <= most && tile.width <= most);
      for (const { top, left } of places) {
        assert.ok(top >= 0 && left >= 0);
        assert.ok(top + tile.height <= height && left + tile.width <= width);
      }
    }
  });

  it("have shares that come to one at every pixel, and end at zero beyond the tile", () => {
    for (const [height, width, most, overlap] of CASES) {
      const { tile, places } = tileGrid({ height, width }, most, overlap);
      for (let y = 0; y < height; y += 5) {
        for (let x = 0; x < width; x += 7) {
          const sum = places.reduce((sum, p) => sum + p.rows[y]! * p.columns[x]!, 0);
          assert.ok(Math.abs(sum - 1) < 1e-6, `${sum} at ${y}, ${x}`);
        }
      }
      for (const { top, rows } of places) {
        const beyond = rows.filter((_, i) => i < top || i >= top + tile.height);
        assert.ok(beyond.every((share) => share === 0));
      }
    }
  });

  it("rise from next to nothing: no share jumps by more than a sin² over the overlap does", () => {
    const { places } = tileGrid({ height: 1024, width: 1024 }, 256, 64);
    const steepest = Math.PI / 2 / 64;
    for (const { rows } of places) {
      for (let i = 1; i < rows.length; i++) {
        assert.ok(Math.abs(rows[i]! - rows[i - 1]!) <= 1.02 * steepest);
      }
    }
  });

  it("are as few as will do and no larger than they must be: 5 by 5 of 256, 3 by 2 of 424 by 384", () => {
    const square = tileGrid({ height: 1024, width: 1024 }, 256, 64);
    assert.deepEqual([square.tile, square.places.length], [{ height: 256, width: 256 }, 25]);
    const wide = tileGrid({ height: 1000, width: 640 }, 512, 128);
    assert.deepEqual(wide.tile, { height: 424, width: 384 });
    assert.deepEqual(
      wide.places.map(({ top, left }) => [top, left]),
      [0, 288, 576].flatMap((top) => [0, 256].map((left) => [top, left])),
    );
    assert.equal(tileGrid({ height: 512, width: 512 }, 512, 128).places.length, 1);
  });

  it("are the same in a picture that is larger by a factor", () => {
    const small = tileGrid({ height: 28, width: 20 }, 16, 6);
    const large = tileGrid({ height: 28, width: 20 }, 16, 6, 4);
    assert.deepEqual(large.tile, { height: 4 * small.tile.height, width: 4 * small.tile.width });
    assert.deepEqual(
      large.places.map(({ top, left }) => [top, left]),
      small.places.map(({ top, left }) => [4 * top, 4 * left]),
    );
    assert.equal(large.places[0]!.rows.length, 4 * 28);
  });
});
