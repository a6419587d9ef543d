// SPDX-License-Identifier: MIT
/*
 * AVX2: the loops of pools over bytes, and the table of all 8-bit ops.
 */
#include "kernels/int8_lanes.h"
#include "kernels/reduce8.h"

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
	.add = hk_add_lanes,
	.mul = hk_mul_lanes,
	.max = max_avx2,
	.sum = sum_avx2,
	.divide = divide_avx2,
};
