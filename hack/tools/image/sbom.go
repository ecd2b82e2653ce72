package main

import (
	"bytes"
	"debug/buildinfo"
	"runtime/debug"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// sbom lists what a program is made of, by what the linker wrote into it: each module, and Go's standard library.
// It has no serial number, and the commit's time, so that a build that is done again gives the same.
func (r release) sbom(c component, info *buildinfo.BuildInfo) ([]byte, error) {
	bom := cdx.NewBOM()
	main := info.Main
	main.Version, main.Sum = r.version, ""
	program := module(cdx.ComponentTypeApplication, &main)
	program.Name, program.Description = "fairlead-"+c.name, c.description
	program.Licenses = &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}}
	program.ExternalReferences = &[]cdx.ExternalReference{{Type: cdx.ERTypeVCS, URL: source}}
	if r.revision != "" {
		(*program.ExternalReferences)[0].Comment = "commit " + r.revision
	}
	bom.Metadata = &cdx.Metadata{Timestamp: r.created.Format(time.RFC3339), Component: &program}

	parts := []cdx.Component{module(cdx.ComponentTypeLibrary, &debug.Module{
		Path: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go"), // as scanners call it
	})}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		parts = append(parts, module(cdx.ComponentTypeLibrary, m))
	}
	bom.Components = &parts

	var b bytes.Buffer
	// 1.6: not every scanner reads 1.7 yet.
	if err := cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func module(kind cdx.ComponentType, m *debug.Module) cdx.Component {
	url := packageURL(m.Path, m.Version)
	c := cdx.Component{BOMRef: url, Type: kind, Name: m.Path, Version: m.Version, PackageURL: url}
	if m.Sum != "" {
		// A hash of the module's files as the checksum database has it, and not of any one file: so not in hashes.
		c.Properties = &[]cdx.Property{{Name: "go:sum", Value: m.Sum}}
	}
	return c
}

// packageURL follows https://github.com/package-url/purl-spec: in the version all but letters, digits and ".-_~" is
// encoded, of which versions of Go modules have only +. The path keeps its capital letters, against that
// specification and as all other tools for Go have it: vulnerabilities are listed by the module's own name.
func packageURL(path, version string) string {
	return "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
}
