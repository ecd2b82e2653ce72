// Command image makes the images of Fairlead from its compiled programs, without Docker. The same programs give
// the same bytes, wherever and whenever. hack/image.sh compiles them and calls this.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var r release
	f := flag.NewFlagSet("image", flag.ContinueOnError)
	programs := f.String("programs", "", "`DIRECTORY` with OS/ARCHITECTURE[/VARIANT]/PROGRAM")
	platforms := f.String("platforms", "linux/amd64,linux/arm64", "`PLATFORMS` to make images for, with commas")
	repository := f.String("registry", "ghcr.io/fairlead-lb", "`REGISTRY` in the images' names")
	tag := f.String("tag", "dev", "`TAG` in the images' names")
	directory := f.String("o", ".", "`DIRECTORY` that archive writes to")
	f.StringVar(&r.base, "base", "scratch", "`IMAGE` to build on: scratch, a name, or a file that docker save wrote")
	f.StringVar(&r.version, "version", "", "`VERSION` of the programs")
	f.StringVar(&r.revision, "revision", "", "`COMMIT` of the programs")
	created := f.String("created", "0", "time of that commit in `SECONDS` since 1970")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 1 {
		return errors.New("say what to do, after the flags: load, archive or push")
	}
	seconds, err := strconv.ParseInt(*created, 10, 64)
	if err != nil {
		return fmt.Errorf("-created %q is no number of seconds", *created)
	}
	r.created = time.Unix(seconds, 0).UTC()
	for p := range strings.SplitSeq(*platforms, ",") {
		platform, err := v1.ParsePlatform(strings.TrimSpace(p))
		if err != nil || platform.OS == "" || platform.Architecture == "" {
			return fmt.Errorf("platform %q is not of the form linux/amd64 or linux/arm/v7", p)
		}
		r.platforms = append(r.platforms, *platform)
	}
	var built []built
	for _, c := range components {
		b, err := r.build(ctx, c, *programs)
		if err != nil {
			return err
		}
		if b.name, err = name.NewTag(*repository + "/" + c.name + ":" + *tag); err != nil {
			return fmt.Errorf("naming the image of the %s: %w", c.name, err)
		}
		built = append(built, b)
	}
	switch f.Arg(0) {
	case "load":
		return load(built, out)
	case "archive":
		return archive(built, filepath.Join(*directory, "fairlead-"+*tag+".oci.tar"), out)
	case "push":
		return push(ctx, built, out)
	default:
		return fmt.Errorf("%q is none of load, archive and push", f.Arg(0))
	}
}

// load writes what docker load reads: one platform's images.
func load(all []built, out io.Writer) error {
	images := map[name.Tag]v1.Image{}
	for _, b := range all {
		if len(b.images) != 1 {
			return errors.New("Docker takes the images of one platform")
		}
		images[b.name] = b.images[0].Image
	}
	return tarball.MultiWrite(images, out)
}

// push writes to the registry that the names name.
func push(ctx context.Context, all []built, out io.Writer) error {
	for _, b := range all {
		err := remote.WriteIndex(b.name, b.index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
		if err != nil {
			return fmt.Errorf("pushing %s: %w", b.name, err)
		}
		if err := report(b, out); err != nil {
			return err
		}
	}
	return nil
}

// report prints an image's name as one that can never come to mean another.
func report(b built, out io.Writer) error {
	digest, err := b.index.Digest()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s@%s\n", b.name, digest)
	return err
}
