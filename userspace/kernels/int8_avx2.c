// SPDX-License-Identifier: MIT
/*
 * AVX2: the 8-bit ops that go element by element, and the table of all.
 */
#include "kernels/int8_avx2.h"
#include "kernels/reduce8.h"

struct scale8 {
	__m256i multiplier, left, right;
};

static struct scale8 scale8(const struct hearth_requant *rq)
{
	int32_t shift = (int32_t)rq->shift;

	return (struct scale8){
		_mm256_set1_epi32((int32_t)rq->multiplier),
		_mm256_set1_epi32(shift > 0 ? shift : 0),
		_mm256_set1_epi32(shift > 0 ? 0 : -shift),
	};
}

static inline __m256i scale(__m256i x, const struct scale8 *s)
{
	return requantize(x, s->multiplier, s->left, s->right);
}

struct binary {
	const struct hk_binary8 *bin;
	const uint8_t *b;
	__m128i a_flip, b_flip;
	__m256i a_zero, b_zero;
	struct scale8 a_scale, b_scale, dst_scale;
	__m128i left_shift;
	struct out8 out;
};

static struct binary binary(const struct hk_binary8 *bin, size_t from)
{
	const struct hearth_cmd_binary_q *cmd = bin->cmd;

	return (struct binary){
		.bin = bin,
		.b = bin->b + from % bin->b_n - from,
		.a_flip = _mm_set1_epi8((char)bin->a_flip),
		.b_flip = _mm_set1_epi8((char)bin->b_flip),
		.a_zero = _mm256_set1_epi16((int16_t)bin->a_zero),
		.b_zero = _mm256_set1_epi16((int16_t)bin->b_zero),
		.a_scale = scale8(&cmd->a_scale),
		.b_scale = scale8(&cmd->b_scale),
		.dst_scale = scale8(&cmd->dst_scale),
		.left_shift = _mm_cvtsi32_si128((int)cmd->left_shift),
		.out = out8(cmd->dst_zero, cmd->act_min, cmd->act_max),
	};
}

static inline __m256i add8(const struct binary *bn, __m256i x, __m256i y)
{
	x = scale(_mm256_sll_epi32(x, bn->left_shift), &bn->a_scale);
	y = scale(_mm256_sll_epi32(y, bn->left_shift), &bn->b_scale);
	return out8_clamp(&bn->out, scale(_mm256_add_epi32(x, y), &bn->dst_scale));
}

static inline __m256i mul8(const struct binary *bn, __m256i x, __m256i y)
{
	return out8_clamp(&bn->out, scale(_mm256_mullo_epi32(x, y), &bn->dst_scale));
}

static inline __m256i low32(__m256i x)
{
	return _mm256_cvtepi16_epi32(_mm256_castsi256_si128(x));
}

static inline __m256i high32(__m256i x)
{
	return _mm256_cvtepi16_epi32(_mm256_extracti128_si256(x, 1));
}

/* @n elements from @i on, at most 16 */
static inline __attribute__((always_inline)) void
binary16(const struct binary *bn, size_t i, size_t n,
	 __m256i (*fn)(const struct binary *bn, __m256i x, __m256i y))
{
	__m256i x = widen(load_some(bn->bin->a + i, n), bn->a_flip, bn->a_zero);
	__m256i y = widen(load_some(bn->b + i, n), bn->b_flip, bn->b_zero);

	store_some(bn->bin->dst + i,
		   pack8(fn(bn, low32(x), low32(y)), fn(bn, high32(x), high32(y))), n);
}

static void add_avx2(const struct hk_binary8 *bin, size_t from, size_t to)
{
	struct binary bn = binary(bin, from);
	size_t i;

	for (i = from; i + 16 <= to; i += 16)
		binary16(&bn, i, 16, add8);
	if (i < to)
		binary16(&bn, i, to - i, add8);
}

static void mul_avx2(const struct hk_binary8 *bin, size_t from, size_t to)
{
	struct binary bn = binary(bin, from);
	size_t i;

	for (i = from; i + 16 <= to; i += 16)
		binary16(&bn, i, 16, mul8);
	if (i < to)
		binary16(&bn, i, to - i, mul8);
}

static void max_avx2(uint8_t *x, const uint8_t *src, uint8_t flip, size_t n)
{
	__m256i flips = _mm256_set1_epi8((char)flip);
	size_t i;

	for (i = 0; i + 32 <= n; i += 32)
		_mm256_storeu_si256((__m256i *)(x + i),
				    _mm256_max_epu8(load256(x + i),
						    _mm256_xor_si256(load256(src + i),
								     flips)));
	hk_max8(x + i, src + i, flip, n - i);
}

static void sum_avx2(int32_t *x, const uint8_t *src, uint8_t flip, size_t n)
{
	__m128i flips = _mm_set1_epi8((char)flip);
	size_t i;

	for (i = 0; i + 8 <= n; i += 8) {
		__m128i bytes = _mm_loadl_epi64((const __m128i *)(src + i));
		__m256i v = _mm256_cvtepu8_epi32(_mm_xor_si128(bytes, flips));

		_mm256_storeu_si256((__m256i *)(x + i), _mm256_add_epi32(load256(x + i), v));
	}
	hk_sum8(x + i, src + i, flip, n - i);
}

/*
 * v / count towards zero, by doubles: a quotient that is not an integer is at
 * least 1 / count away from one, far more than the rounding of a double.
 */
static inline __m128i divide4(__m128i v, __m256d count)
{
	return _mm256_cvttpd_epi32(_mm256_div_pd(_mm256_cvtepi32_pd(v), count));
}

static void divide_avx2(uint8_t *dst, const int32_t *x, int32_t bias, int32_t count,
			int32_t min, int32_t max, size_t n)
{
	__m128i half = _mm_set1_epi32(count / 2), biases = _mm_set1_epi32(bias);
	__m256d counts = _mm256_set1_pd(count);
	size_t i;

	for (i = 0; i + 4 <= n; i += 4) {
		__m128i v = _mm_sub_epi32(_mm_loadu_si128((const __m128i *)(x + i)), biases);

		v = divide4(_mm_add_epi32(v, _mm_sign_epi32(half, v)), counts);
		v = _mm_min_epi32(_mm_max_epi32(v, _mm_set1_epi32(min)),
				  _mm_set1_epi32(max));
		v = _mm_and_si128(v, _mm_set1_epi32(0xff));
		v = _mm_packus_epi16(_mm_packus_epi32(v, v), v);
		memcpy(dst + i, &v, 4);
	}
	hk_divide8(dst + i, x + i, bias, count, min, max, n - i);
}

const struct hk_int8_isa hk_int8_avx2 = {
	.conv = hk_conv_avx2,
	.depthwise = hk_depthwise_avx2,
	.gemv = hk_gemv_avx2,
	.add = add_avx2,
	.mul = mul_avx2,
	.max = max_avx2,
	.sum = sum_avx2,
	.divide = divide_avx2,
};
