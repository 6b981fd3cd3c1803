package bench

import "math/bits"

// A rng is SplitMix64: one addition and one mix per number, and any seed is a good one.
type rng uint64

const weyl = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio, odd

func (r *rng) next() uint64 {
	*r += weyl
	return mix(uint64(*r))
}

// mix is the output function of SplitMix64, a bijection of 64 bits.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below maps a random number to 0 … n-1.
func below(random uint64, n int) uint32 {
	hi, _ := bits.Mul64(random, uint64(n))
	return uint32(hi)
}

// share turns a share of 0 to 1 into a threshold for chance.
func share(p float64) uint64 { return uint64(p * (1 << 32)) }

// chance is true for the share of random numbers that the threshold stands for. It uses the
// low half of the number; below uses mostly the high one.
func chance(random, threshold uint64) bool { return random&(1<<32-1) < threshold }
