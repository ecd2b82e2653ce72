// Package bgp advertises addresses to routers (RFC 4271).
package bgp
