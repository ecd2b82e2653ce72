package plugin

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Manifest is an IPAddressPool, an L2Advertisement or a BGPAdvertisement of a file: one of the three is set.
type Manifest struct {
	Pool *v1alpha1.IPAddressPool
	L2   *v1alpha1.L2Advertisement
	BGP  *v1alpha1.BGPAdvertisement
	// Source names its place: "pools.yaml, document 2".
	Source string
}

// ReadManifests reads the IPAddressPools and advertisements of a file of YAML or JSON documents. Documents of other kinds
// are skipped with a note. An unknown field is an error, since it would be one at apply, and so is an address
// that cannot be read.
func ReadManifests(name string, r io.Reader) (manifests []Manifest, notes []string, err error) {
	documents := yamlutil.NewYAMLReader(bufio.NewReader(r))
	skipped := map[string]int{}
	for number := 1; ; {
		data, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, fmt.Errorf("reading %s: %w", name, err)
		}
		var any map[string]any
		source := fmt.Sprintf("%s, document %d", name, number)
		if err := yaml.Unmarshal(data, &any); err != nil {
			return nil, nil, fmt.Errorf("%s: %s", source, yamlError(err))
		}
		if len(any) == 0 { // comments only
			continue
		}
		number++
		if err := decode(data, source, &manifests, skipped); err != nil {
			return nil, nil, err
		}
	}
	for kind, n := range skipped {
		note := fmt.Sprintf("%s: skipped %s of kind %s", name, count(n, "document"), kind)
		if strings.Contains(kind, " of ") {
			note += ": only those of " + v1alpha1.SchemeGroupVersion.String() + " count"
		}
		notes = append(notes, note)
	}
	slices.Sort(notes)
	return manifests, notes, nil
}

var poolDecoder = func() runtime.Decoder {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		panic(err) // a type registered twice
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
}()

// decode reads one document, or all that a list has.
func decode(data []byte, source string, manifests *[]Manifest, skipped map[string]int) error {
	var header struct {
		APIVersion string                 `json:"apiVersion"`
		Kind       string                 `json:"kind"`
		Items      []runtime.RawExtension `json:"items"`
	}
	if err := yaml.Unmarshal(data, &header); err != nil {
		return fmt.Errorf("%s: %s", source, yamlError(err))
	}
	gvk := schema.FromAPIVersionAndKind(header.APIVersion, header.Kind)
	isOurs := slices.Contains(plannable, strings.TrimSuffix(gvk.Kind, "List")) && gvk.Group == v1alpha1.GroupName
	isList := strings.HasSuffix(gvk.Kind, "List") && (isOurs || gvk.Kind == "List" && gvk.Version == "v1" && gvk.Group == "")
	switch {
	case header.Kind == "" || header.APIVersion == "":
		return fmt.Errorf("%s has no kind or no apiVersion", source)
	case isList:
		for i, item := range header.Items {
			if err := decode(item.Raw, fmt.Sprintf("%s, item %d", source, i+1), manifests, skipped); err != nil {
				return err
			}
		}
		return nil
	case !slices.Contains(plannable, gvk.Kind):
		skipped[gvk.Kind]++
		return nil
	case gvk.Group != v1alpha1.GroupName:
		skipped[gvk.Kind+" of "+header.APIVersion]++
		return nil
	case gvk.Version != v1alpha1.SchemeGroupVersion.Version:
		return fmt.Errorf("%s: %s of %s: this plugin knows only those of %s", source, gvk.Kind, header.APIVersion, v1alpha1.SchemeGroupVersion)
	}
	// YAML may look like JSON, which the decoder would take it for.
	data, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return fmt.Errorf("%s: %s", source, yamlError(err))
	}
	object, _, err := poolDecoder.Decode(data, nil, nil)
	if err != nil {
		return fmt.Errorf("%s: %s", source, yamlError(err))
	}
	switch o := object.(type) {
	case *v1alpha1.L2Advertisement:
		*manifests = append(*manifests, Manifest{L2: o, Source: source})
		return checkAdvertisement(source, "L2Advertisement", o.Name, readable(o))
	case *v1alpha1.BGPAdvertisement:
		*manifests = append(*manifests, Manifest{BGP: withLengths(o), Source: source})
		_, err := k8s.ReadBGPAdvertisement(o)
		return checkAdvertisement(source, "BGPAdvertisement", o.Name, err)
	}
	pool, ok := object.(*v1alpha1.IPAddressPool)
	switch {
	case !ok:
		return fmt.Errorf("%s: it is a %T", source, object)
	case pool.Name == "":
		return fmt.Errorf("%s: IPAddressPool without metadata.name", source)
	case len(pool.Spec.Addresses) == 0:
		return fmt.Errorf("%s: IPAddressPool %s: spec.addresses is empty; give at least one address, CIDR or range", source, pool.Name)
	}
	if _, problems := k8s.Pool(pool); len(problems) > 0 {
		return fmt.Errorf("%s: IPAddressPool %s: %s", source, pool.Name, strings.Join(problems, "; "))
	}
	if pool.Spec.AutoAssign == nil { // as the API server does, so that it compares with what is there
		assign := true
		pool.Spec.AutoAssign = &assign
	}
	*manifests = append(*manifests, Manifest{Pool: pool, Source: source})
	return nil
}

// plannable are the kinds that can be planned.
var plannable = []string{"IPAddressPool", "L2Advertisement", "BGPAdvertisement"}

func checkAdvertisement(source, kind, name string, err error) error {
	switch {
	case name == "":
		return fmt.Errorf("%s: %s without metadata.name", source, kind)
	case err != nil:
		return fmt.Errorf("%s: %s %s: %w", source, kind, name, err)
	}
	return nil
}

// readable tells why an L2Advertisement cannot be read.
func readable(o *v1alpha1.L2Advertisement) error {
	_, err := k8s.SelectPools(o)
	if err == nil {
		_, err = k8s.CompileSelectors("nodeSelectors", o.Spec.NodeSelectors)
	}
	return err
}

// withLengths fills in what the API server would, so that it compares with what is there.
func withLengths(o *v1alpha1.BGPAdvertisement) *v1alpha1.BGPAdvertisement {
	v4, v6 := int32(32), int32(128)
	if o.Spec.AggregationLength == nil {
		o.Spec.AggregationLength = &v4
	}
	if o.Spec.AggregationLengthV6 == nil {
		o.Spec.AggregationLengthV6 = &v6
	}
	return o
}

// yamlError is what is wrong with a document, without the names of the decoders that found it.
func yamlError(err error) string {
	if strict, ok := runtime.AsStrictDecodingError(err); ok {
		var parts []string
		for _, e := range strict.Errors() {
			parts = append(parts, strings.Join(strings.Fields(e.Error()), " "))
		}
		return strings.Join(parts, "; ")
	}
	text := err.Error()
	if m := wrongType.FindStringSubmatch(text); m != nil {
		return cmp.Or(m[2], "it") + " cannot be a " + m[1]
	}
	for _, prefix := range []string{"error converting YAML to JSON: ", "error unmarshaling JSON: ", "while decoding JSON: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return strings.Join(strings.Fields(text), " ")
}

// wrongType is how encoding/json says that a value is of another type than its field.
var wrongType = regexp.MustCompile(`cannot unmarshal (\S+) into Go (?:struct field \w+\.(\S+)|value) of type`)
