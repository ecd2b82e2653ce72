package page

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"

	"github.com/chromedp/cdproto/input"
	cdpage "github.com/chromedp/cdproto/page"
	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// mostShot is how large a picture of the docs may be.
const mostShot = 300 << 10

// shoot takes a picture for the docs: from the top of an element down to the bottom of another, but at most so many
// pixels.
func (b *tab) shoot(name, from, to string, most float64) {
	b.Helper()
	if !*update {
		return
	}
	// Not what a pointer or a keyboard has left.
	eval[any](b, `(document.activeElement.blur(), scrollTo(0, 0), null)`)
	call(b, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseMoved, X: 2, Y: 2})
	clip := eval[[]float64](b, fmt.Sprintf(`(() => {
		const [a, b] = [%q, %q].map(s => document.querySelector(s).getBoundingClientRect());
		const top = Math.max(0, a.top + scrollY - (a.top < 60 ? 60 : 24));
		return [top, Math.min(%f, b.bottom + scrollY + 24 - top), document.documentElement.clientWidth];
	})()`, from, to, most))
	picture := call(b, cdpage.CaptureScreenshot, cdpage.CaptureScreenshotParams{CaptureBeyondViewport: new(true),
		Clip: &cdpage.Viewport{Y: clip[0], Width: clip[2], Height: clip[1], Scale: 1}}).Data
	picture, err := fewColours(picture)
	if err != nil {
		b.Fatal(err)
	}
	if len(picture) > mostShot {
		b.Errorf("the picture %s has %d KiB", name, len(picture)>>10)
	}
	root, err := lab.Root()
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(root, "docs", "images", "page-"+name+".png")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, picture, 0o644); err != nil {
		b.Fatal(err)
	}
}

// fewColours makes a PNG file of the 256 most frequent colours of another, which is a third of its size: a page has few
// colours, and the shades of its letters' edges lie near each other.
func fewColours(file []byte) ([]byte, error) {
	decoded, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("reading a picture: %w", err)
	}
	picture := image.NewNRGBA(decoded.Bounds())
	draw.Draw(picture, picture.Bounds(), decoded, decoded.Bounds().Min, draw.Src)
	counts := map[color.NRGBA]int{}
	each := func(do func(x, y int, c color.NRGBA)) {
		for y := range picture.Bounds().Dy() {
			for x := range picture.Bounds().Dx() {
				do(x, y, picture.NRGBAAt(x, y))
			}
		}
	}
	each(func(_, _ int, c color.NRGBA) { counts[c]++ })
	var palette color.Palette
	for c := range counts {
		palette = append(palette, c)
	}
	slices.SortFunc(palette, func(a, b color.Color) int { return counts[b.(color.NRGBA)] - counts[a.(color.NRGBA)] })
	palette = palette[:min(256, len(palette))]
	nearest := map[color.NRGBA]uint8{}
	few := image.NewPaletted(picture.Bounds(), palette)
	each(func(x, y int, c color.NRGBA) {
		i, known := nearest[c]
		if !known {
			i = uint8(palette.Index(c))
			nearest[c] = i
		}
		few.SetColorIndex(x, y, i)
	})
	var out bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, few)
	return out.Bytes(), err
}
