// Package garbage makes what nobody should send: frames, datagrams, messages and API objects that are wrong in every
// way that a bug or an attacker has them wrong. It starts from one that is right and cuts it short, adds to it, flips
// bits, puts fields to their extremes, and lets lengths lie. Sums that a receiver checks first are made good again in
// half of the cases: garbage that is thrown away at the door shows nothing of what is behind it.
//
// All is a pure function of a *rand.Rand, so that a seed repeats it. Nothing here sends.
package garbage
