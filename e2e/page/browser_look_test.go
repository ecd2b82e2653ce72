package page

import (
	"fmt"
	"testing"
)

// TestPicturesOfThePage makes the pictures of docs/page.md, with -update. Without, it sees that there is what they show.
func TestPicturesOfThePage(t *testing.T) {
	t.Parallel()
	_, origin := serve(t, madeUp(200))
	chinese := wide
	chinese.chinese = true
	for _, picture := range []struct {
		name     string
		look     look
		from, to string
		most     float64
	}{
		{"light", wide, "body", "#services", 1750},
		{"dark", dark, "body", "#services", 1750},
		{"narrow", narrow, "body", "#pools", 1900},
		{"chinese", chinese, "body", "#pools", 1300},
		{"nodes", wide, "#nodes", "#sessions", 1500},
		{"takeovers", dark, "#takeovers", "#conflicts", 1200},
	} {
		t.Run(picture.name, func(t *testing.T) {
			b := openPage(t, origin, "", picture.look)
			b.holds("there is what the picture shows", fmt.Sprintf("document.querySelector(%q) && document.querySelector(%q)", picture.from, picture.to))
			b.shoot(picture.name, picture.from, picture.to, picture.most)
		})
	}
}
