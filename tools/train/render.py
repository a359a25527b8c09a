"""A sphere-tracing renderer: signed distances, a sun with soft shadow, 2x2 samples a pixel.

Distance and soft-shadow formulas: Inigo Quilez, https://iquilezles.org/articles/distfunctions/ and /rmshadows/.
"""

import math

import numpy as np
from numba import njit

from words import PLAIN, SETTINGS

SIDE = 128
SAMPLES = 2
CELL = 8  # pixels to a side of a latent pixel
FAR = 1e9


def render(scene, placed, rng):
    """Renders one laid-out scene (scenes.layout): its picture uint8 [128, 128, 3], sRGB, and what its cells
    show most, uint8 [16, 16]: 0 the backdrop, 1 and 2 the objects."""
    look = setting_of(scene["setting"])
    shapes = np.array([o["shape"] for o in placed], np.int64)
    bodies = np.array([[*o["centre"], o["half"], math.cos(o["yaw"]), math.sin(o["yaw"])]
                       for o in placed], np.float32)
    colours = np.array([o["colour"] for o in placed], np.float32)
    elevation, azimuth = rng.uniform(0.95, 1.2), rng.choice([-1, 1]) * rng.uniform(0.5, 1.0)
    sun = np.array([math.cos(elevation) * math.sin(azimuth), math.sin(elevation),
                    math.cos(elevation) * math.cos(azimuth)], np.float32)
    pitch, phase = np.float32(rng.uniform(0.24, 0.31)), np.float32(rng.uniform(0, 100))
    return trace(shapes, bodies, colours, look, sun, pitch, phase)


def setting_of(name):
    """[6, 3] rows: floor, horizon, zenith, sun, ambient, (texture, is studio, 0)."""
    if name in PLAIN:
        floor = PLAIN[name]
        wall = tuple(0.92 * c for c in floor)
        rows = [floor, floor, wall, (0.92,) * 3, (0.42,) * 3, (0, 1, 0)]
    else:
        s = SETTINGS[name]
        rows = [s["floor"], s["horizon"], s["zenith"], s["sun"], s["ambient"], (s["texture"], 0, 0)]
    return np.array(rows, np.float32)


@njit(fastmath=True, inline="always")
def distance(shape, x, y, z, h):
    """Signed distance to a shape of half-height h, centred, y up."""
    if shape == 0:  # cube, slightly rounded
        r = 0.04 * h
        s = 0.88 * h
        qx, qy, qz = abs(x) - s + r, abs(y) - h + r, abs(z) - s + r
        out = math.sqrt(max(qx, 0) ** 2 + max(qy, 0) ** 2 + max(qz, 0) ** 2)
        return out + min(max(qx, max(qy, qz)), 0) - r
    if shape == 1:
        return math.sqrt(x * x + y * y + z * z) - h
    if shape == 5:  # torus standing on its rim
        q = math.sqrt(x * x + y * y) - 0.7 * h
        return math.sqrt(q * q + z * z) - 0.3 * h
    if shape == 2:  # cylinder
        dx, dy = math.sqrt(x * x + z * z) - 0.8 * h, abs(y) - h
        return min(max(dx, dy), 0) + math.sqrt(max(dx, 0) ** 2 + max(dy, 0) ** 2)
    # cone and pyramid: bounds by the slanted planes and the base (exact near the surface)
    if shape == 3:
        q = math.sqrt(x * x + z * z)
    else:
        q = max(abs(x), abs(z))
    slant = (q - (h - y) * 0.5) * 0.8944272
    return max(slant, -y - h)


@njit(fastmath=True)
def near(shapes, bodies, x, y, z):
    """The nearest object and its distance at a point."""
    best, which = FAR, -1
    for i in range(shapes.shape[0]):
        cx, cy, cz, h, c, s = bodies[i]
        dx, dy, dz = x - cx, y - cy, z - cz
        far = math.sqrt(dx * dx + dy * dy + dz * dz) - 1.6 * h
        d = far if far > 0.3 else distance(shapes[i], c * dx - s * dz, dy, s * dx + c * dz, h)
        if d < best:
            best, which = d, i
    return best, which


@njit(fastmath=True)
def misses(bodies, ox, oy, oz, dx, dy, dz, wider):
    """True when the ray passes every object's bounding sphere, widened by a factor."""
    for i in range(bodies.shape[0]):
        cx, cy, cz = bodies[i, 0] - ox, bodies[i, 1] - oy, bodies[i, 2] - oz
        along = cx * dx + cy * dy + cz * dz
        away = cx * cx + cy * cy + cz * cz - along * along
        r = bodies[i, 3] * wider
        if away < r * r and along > -r:
            return False
    return True


@njit(fastmath=True)
def march(shapes, bodies, ox, oy, oz, dx, dy, dz, t, end):
    """Distance along the ray to the first object, and which; FAR and -1 for none."""
    if misses(bodies, ox, oy, oz, dx, dy, dz, 1.6):
        return FAR, -1
    for _ in range(72):
        d, i = near(shapes, bodies, ox + t * dx, oy + t * dy, oz + t * dz)
        if d < 0.0015:
            return t, i
        t += d
        if t > end:
            break
    return FAR, -1


@njit(fastmath=True)
def light(shapes, bodies, x, y, z, sun):
    """How much of the sun is seen from a point: 0 in full shadow, 1 in the open."""
    if misses(bodies, x, y, z, sun[0], sun[1], sun[2], 2.2):
        return 1.0
    seen, t = 1.0, 0.03
    for _ in range(40):
        d, _i = near(shapes, bodies, x + t * sun[0], y + t * sun[1], z + t * sun[2])
        seen = min(seen, 9.0 * d / t)
        if seen < 0.01 or t > 7:
            break
        t += min(max(d, 0.03), 0.35)
    seen = max(seen, 0.0)
    return seen * seen * (3 - 2 * seen)


@njit(fastmath=True)
def ripple(x, z, phase):
    """Soft floor texture in [-1, 1]: three crossed waves."""
    a = math.sin(2.1 * x + 1.3 * z + phase) + math.sin(1.1 * x - 2.7 * z + 2 * phase)
    return (a + math.sin(5.3 * x + 0.7 * z + 3 * phase) * 0.6) / 2.6


@njit(fastmath=True)
def encode(c):
    """Linear light to sRGB."""
    c = min(max(c, 0.0), 1.0)
    return 12.92 * c if c < 0.0031308 else 1.055 * c ** 0.4166667 - 0.055


@njit(fastmath=True)
def shade_sky(look, up, out):
    f = min(max(up * 2.2, 0.0), 1.0)
    for k in range(3):
        out[k] = look[1, k] * (1 - f) + look[2, k] * f


@njit(fastmath=True)
def shade_floor(shapes, bodies, look, sun, x, z, t, phase, out):
    seen = light(shapes, bodies, x, 0.0, z, sun)
    d, _i = near(shapes, bodies, x, 0.02, z)
    contact = 0.62 + 0.38 * min(d / 0.35, 1.0)
    wave = 1 + look[5, 0] * ripple(x, z, phase)
    haze = min(max((t - 8.0) / 14.0, 0.0), 1.0)
    for k in range(3):
        lit = look[0, k] * wave * (look[4, k] * contact + look[3, k] * seen * (0.35 + 0.65 * sun[1]))
        if look[5, 1] > 0:
            out[k] = lit * (1 - haze) + look[2, k] * 1.3 * haze
        else:
            out[k] = lit * (1 - haze * 0.6) + look[1, k] * haze * 0.6


@njit(fastmath=True)
def shade_object(shapes, bodies, colours, look, sun, i, x, y, z, view, out):
    e = 0.002
    base, _i = near(shapes, bodies, x, y, z)
    nx = near(shapes, bodies, x + e, y, z)[0] - base
    ny = near(shapes, bodies, x, y + e, z)[0] - base
    nz = near(shapes, bodies, x, y, z + e)[0] - base
    n = 1 / math.sqrt(nx * nx + ny * ny + nz * nz + 1e-20)
    nx, ny, nz = nx * n, ny * n, nz * n
    facing = max(nx * sun[0] + ny * sun[1] + nz * sun[2], 0.0)
    seen = 0.0
    if facing > 0:
        seen = light(shapes, bodies, x + 0.02 * nx, y + 0.02 * ny, z + 0.02 * nz, sun)
    hx, hy, hz = sun[0] - view[0], sun[1] - view[1], sun[2] - view[2]
    h = 1 / math.sqrt(hx * hx + hy * hy + hz * hz)
    gloss = 0.22 * max((nx * hx + ny * hy + nz * hz) * h, 0.0) ** 40 * seen
    dome = (0.72 + 0.28 * ny) * (0.6 + 0.4 * min(y / 0.5, 1.0))
    for k in range(3):
        lit = colours[i, k] * (look[4, k] * dome + look[3, k] * facing * seen)
        out[k] = lit + gloss * look[3, k] + 0.012 * dome


@njit(fastmath=True)
def trace(shapes, bodies, colours, look, sun, pitch, phase):
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    hits = np.zeros((SIDE // CELL, SIDE // CELL, 1 + shapes.shape[0]), np.int32)
    out, view = np.zeros(3, np.float32), np.zeros(3, np.float32)
    cp, sp = math.cos(pitch), math.sin(pitch)
    ox, oy, oz = 0.0, 1.1 + 6.4 * sp, 6.4 * cp
    for row in range(SIDE):
        for column in range(SIDE):
            r, g, b = 0.0, 0.0, 0.0
            for sample in range(SAMPLES * SAMPLES):
                u = ((column + (sample % SAMPLES + 0.5) / SAMPLES) / SIDE - 0.5) * 0.72
                v = (0.5 - (row + (sample // SAMPLES + 0.5) / SAMPLES) / SIDE) * 0.72
                n = 1 / math.sqrt(u * u + v * v + 1)
                dx, dy, dz = u * n, (v * cp - sp) * n, (-v * sp - cp) * n
                view[0], view[1], view[2] = dx, dy, dz
                t_floor = -oy / dy if dy < -1e-4 else FAR
                t, i = march(shapes, bodies, ox, oy, oz, dx, dy, dz, 3.0, min(t_floor, 12.0))
                hits[row // CELL, column // CELL, i + 1] += 1
                if i >= 0:
                    shade_object(shapes, bodies, colours, look, sun, i,
                                 ox + t * dx, oy + t * dy, oz + t * dz, view, out)
                elif t_floor < 60:
                    shade_floor(shapes, bodies, look, sun,
                                ox + t_floor * dx, oz + t_floor * dz, t_floor, phase, out)
                else:
                    shade_sky(look, dy, out)
                r += encode(out[0])
                g += encode(out[1])
                b += encode(out[2])
            scale = 255.0 / (SAMPLES * SAMPLES)
            picture[row, column, 0] = int(r * scale + 0.5)
            picture[row, column, 1] = int(g * scale + 0.5)
            picture[row, column, 2] = int(b * scale + 0.5)
    return picture, most_seen(hits)


@njit(fastmath=True)
def most_seen(hits):
    rows, columns, things = hits.shape
    seen = np.zeros((rows, columns), np.uint8)
    for row in range(rows):
        for column in range(columns):
            for i in range(1, things):
                if hits[row, column, i] > hits[row, column, seen[row, column]]:
                    seen[row, column] = i
    return seen
