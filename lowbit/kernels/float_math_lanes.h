// float_math_lanes.h: the functions of float_math.h over F, sixteen float lanes. Inside the room only, once per
// instruction set: the including file defines F and its operations before, in an anonymous namespace; nothing here has
// external linkage. F offers: load, store, splat, + - * / as add, sub, mul, div; fma(a, b, c) = a b + c; min, max;
// nearest (to an integer, ties to even); size (absolute value); with_sign(size, sign); less(a, b) and select(mask, a,
// b); power(n) = 2^n for integers -126 <= n <= 127; root; sum and largest (fold in halves: 16, 8, 4, 2, 1).

namespace {

[[gnu::always_inline]] inline F exp16(F x) {
  const F low = splat(-87.33654f), high = splat(88.37626f);
  const F limited = min(max(x, low), high);
  const F n = nearest(mul(limited, splat(1.44269502f)));
  // x - n ln 2 with ln 2 in two parts.
  const F r = fma(n, splat(1.90465421e-9f), fma(n, splat(-0.693147182f), limited));
  F q = splat(0.001394112f);
  q = fma(q, r, splat(0.008363181f));
  q = fma(q, r, splat(0.041666374f));
  q = fma(q, r, splat(0.16666576f));
  q = fma(q, r, splat(0.5f));
  const F value = mul(add(fma(mul(r, r), q, r), splat(1.0f)), power(n));
  const F bounded = select(less(high, x), splat(__builtin_inff()), select(less(x, low), splat(0.0f), value));
  return select(unordered(x), x, bounded);
}

[[gnu::always_inline]] inline F sigmoid16(F x) {
  const F e = exp16(sub(splat(0.0f), size(x)));
  const F top = select(less(x, splat(0.0f)), e, splat(1.0f));
  return div(top, add(splat(1.0f), e));
}

[[gnu::always_inline]] inline F tanh16(F x) {
  const F a = size(x), z = mul(x, x);
  F p = splat(-0.0061131367f);
  p = fma(p, z, splat(0.021010034f));
  p = fma(p, z, splat(-0.053854056f));
  p = fma(p, z, splat(0.13332795f));
  p = fma(p, z, splat(-0.33333328f));
  const F small = fma(mul(a, z), p, a);
  const F e = exp16(min(add(a, a), splat(40.0f)));
  const F large = sub(splat(1.0f), div(splat(2.0f), add(e, splat(1.0f))));
  return select(unordered(x), x, with_sign(select(less(a, splat(0.625f)), small, large), x));
}

[[gnu::always_inline]] inline F erf16(F x) {
  const F a = size(x), z = mul(x, x);
  F p = splat(7.889119e-05f);
  p = fma(p, z, splat(-0.0008020841f));
  p = fma(p, z, splat(0.005189535f));
  p = fma(p, z, splat(-0.026854444f));
  p = fma(p, z, splat(0.112836f));
  p = fma(p, z, splat(-0.37612626f));
  p = fma(p, z, splat(1.1283791f));
  const F limited = min(a, splat(4.2f));
  const F t = div(splat(1.0f), fma(limited, splat(0.5f), splat(1.0f)));
  F q = splat(-0.23080179f);
  q = fma(q, t, splat(0.63668036f));
  q = fma(q, t, splat(-0.064461075f));
  q = fma(q, t, splat(0.39680234f));
  q = fma(q, t, splat(0.25970054f));
  q = fma(q, t, splat(0.001822492f));
  const F large = fma(sub(splat(0.0f), q), exp16(sub(splat(0.0f), mul(limited, limited))), splat(1.0f));
  return select(unordered(x), x, with_sign(select(less(a, splat(1.0f)), mul(a, p), large), x));
}

[[gnu::always_inline]] inline F gelu16(F x) {
  const F half = mul(x, splat(0.5f));
  return fma(half, erf16(mul(x, splat(0.707106769f))), half);
}

// A part of sixteen lanes; the missing ones are `fill`.
[[gnu::always_inline]] inline F load_part(const float* x, int64_t n, float fill) {
  if (n >= 16) return load(x);
  float lanes[16];
  for (int64_t i = 0; i < 16; ++i) lanes[i] = i < n ? x[i] : fill;
  return load(lanes);
}
[[gnu::always_inline]] inline void store_part(float* y, int64_t n, F value) {
  if (n >= 16) return store(y, value);
  float lanes[16];
  store(lanes, value);
  for (int64_t i = 0; i < n; ++i) y[i] = lanes[i];
}

template <F (*kFunction)(F)>
void map(int64_t n, const float* x, float* y) noexcept {
  for (int64_t i = 0; i < n; i += 16) store_part(y + i, n - i, kFunction(load_part(x + i, n - i, 0.0f)));
}

void softmax(int64_t rows, int64_t n, const float* x, int64_t x_stride, float* y, int64_t y_stride) noexcept {
  const float lowest = -__builtin_inff();
  for (int64_t row = 0; row < rows; ++row, x += x_stride, y += y_stride) {
    F most = splat(lowest);
    for (int64_t i = 0; i < n; i += 16) most = max(load_part(x + i, n - i, lowest), most);
    const F top = splat(largest(most));
    F total = splat(0.0f);
    for (int64_t i = 0; i < n; i += 16) {
      const F e = exp16(sub(load_part(x + i, n - i, lowest), top));
      total = add(total, e);
      store_part(y + i, n - i, e);
    }
    const F divisor = splat(sum(total));
    for (int64_t i = 0; i < n; i += 16) store_part(y + i, n - i, div(load_part(y + i, n - i, 0.0f), divisor));
  }
}

void layer_norm(int64_t rows, int64_t n, const float* x, int64_t x_stride, const float* scale, const float* bias,
                float epsilon, float* y, int64_t y_stride) noexcept {
  const auto count = static_cast<float>(n);
  for (int64_t row = 0; row < rows; ++row, x += x_stride, y += y_stride) {
    F total = splat(0.0f);
    for (int64_t i = 0; i < n; i += 16) total = add(total, load_part(x + i, n - i, 0.0f));
    const float centre = sum(total) / count;
    const F mean = splat(centre);
    F squares = splat(0.0f);
    for (int64_t i = 0; i < n; i += 16) {
      const F d = sub(load_part(x + i, n - i, centre), mean);
      squares = fma(d, d, squares);
    }
    const F inverse = div(splat(1.0f), root(splat(sum(squares) / count + epsilon)));
    for (int64_t i = 0; i < n; i += 16) {
      const F standard = mul(sub(load_part(x + i, n - i, 0.0f), mean), inverse);
      const F shift = bias ? load_part(bias + i, n - i, 0.0f) : splat(0.0f);
      store_part(y + i, n - i, fma(standard, load_part(scale + i, n - i, 0.0f), shift));
    }
  }
}

struct GateReader {
  int64_t at, left;
  F low, high;
  [[gnu::always_inline]] F part(const float* p) const { return load_part(p + at, left, 0.0f); }
  [[gnu::always_inline]] F limited(F z) const { return min(max(z, low), high); }
  [[gnu::always_inline]] F sum_of(const float* x, const float* h) const { return add(part(x), part(h)); }
};

void lstm(const LstmCells& cells) noexcept {
  for (int64_t i = 0; i < cells.n; i += 16) {
    const GateReader at{i, cells.n - i, splat(-cells.clip), splat(cells.clip)};
    const auto with_peephole = [&](int gate, F z, F c) {
      return at.limited(cells.peephole[gate] ? fma(at.part(cells.peephole[gate]), c, z) : z);
    };
    const F old = at.part(cells.c);
    const F in = sigmoid16(with_peephole(0, at.sum_of(cells.x[0], cells.h[0]), old));
    const F forget =
        cells.couple ? sub(splat(1.0f), in) : sigmoid16(with_peephole(2, at.sum_of(cells.x[2], cells.h[2]), old));
    const F fresh = tanh16(at.limited(at.sum_of(cells.x[3], cells.h[3])));
    const F cell = fma(forget, old, mul(in, fresh));
    const F out = sigmoid16(with_peephole(1, at.sum_of(cells.x[1], cells.h[1]), cell));
    store_part(cells.c + i, at.left, cell);
    store_part(cells.out + i, at.left, mul(out, tanh16(cell)));
  }
}

void gru_reset(const GruCells& cells) noexcept {
  for (int64_t i = 0; i < cells.n; i += 16) {
    const GateReader at{i, cells.n - i, splat(-cells.clip), splat(cells.clip)};
    const F reset = sigmoid16(at.limited(at.sum_of(cells.x[1], cells.h[1])));
    store_part(cells.out + i, at.left, mul(reset, at.part(cells.state)));
  }
}

void gru(const GruCells& cells) noexcept {
  for (int64_t i = 0; i < cells.n; i += 16) {
    const GateReader at{i, cells.n - i, splat(-cells.clip), splat(cells.clip)};
    const F update = sigmoid16(at.limited(at.sum_of(cells.x[0], cells.h[0])));
    F sum_h = at.sum_of(cells.x[2], cells.h[2]);
    if (cells.linear) {
      const F reset = sigmoid16(at.limited(at.sum_of(cells.x[1], cells.h[1])));
      sum_h = fma(reset, at.part(cells.h[2]), at.part(cells.x[2]));
    }
    const F fresh = tanh16(at.limited(sum_h));
    store_part(cells.out + i, at.left, fma(update, sub(at.part(cells.state), fresh), fresh));
  }
}

constexpr FloatMathKernels kFloatMath = {
    map<exp16>, map<sigmoid16>, map<tanh16>, map<erf16>, map<gelu16>, softmax, layer_norm, lstm, gru_reset, gru,
};

}  // namespace
