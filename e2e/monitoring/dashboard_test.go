package monitoring

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The parts of Grafana's dashboard model (classic, schema 39: Grafana 10.4 and later) that are in use. What is not here
// is refused: it would be a mistake in writing.
type dashboard struct {
	UID           string         `json:"uid"`
	Title         string         `json:"title"`
	Description   string         `json:"description"`
	Tags          []string       `json:"tags"`
	SchemaVersion int            `json:"schemaVersion"`
	Version       int            `json:"version"`
	Editable      bool           `json:"editable"`
	GraphTooltip  int            `json:"graphTooltip"`
	FiscalYear    int            `json:"fiscalYearStartMonth"`
	WeekStart     string         `json:"weekStart"`
	Timezone      string         `json:"timezone"`
	LiveNow       bool           `json:"liveNow"`
	Time          map[string]any `json:"time"`
	TimePicker    map[string]any `json:"timepicker"`
	Refresh       string         `json:"refresh"`
	Links         []any          `json:"links"`
	Annotations   struct {
		List []any `json:"list"`
	} `json:"annotations"`
	Templating struct {
		List []variable `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

type variable struct {
	Name        string         `json:"name"`
	Label       string         `json:"label"`
	Type        string         `json:"type"`
	DataSource  *source        `json:"datasource"`
	Definition  string         `json:"definition"`
	Query       any            `json:"query"`
	Regex       string         `json:"regex"`
	Refresh     int            `json:"refresh"`
	Sort        int            `json:"sort"`
	Hide        int            `json:"hide"`
	IncludeAll  bool           `json:"includeAll"`
	AllValue    string         `json:"allValue"`
	Multi       bool           `json:"multi"`
	Options     []any          `json:"options"`
	Current     map[string]any `json:"current"`
	SkipURLSync bool           `json:"skipUrlSync"`
}

type source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type panel struct {
	ID          int     `json:"id"`
	Type        string  `json:"type"`
	Title       string  `json:"title"`
	Description string  `json:"description"`
	DataSource  *source `json:"datasource"`
	Collapsed   bool    `json:"collapsed"`
	Panels      []panel `json:"panels"`
	Grid        struct {
		H int `json:"h"`
		W int `json:"w"`
		X int `json:"x"`
		Y int `json:"y"`
	} `json:"gridPos"`
	FieldConfig struct {
		Defaults struct {
			Unit       string           `json:"unit"`
			Color      map[string]any   `json:"color"`
			Custom     map[string]any   `json:"custom"`
			Mappings   []map[string]any `json:"mappings"`
			Thresholds struct {
				Mode  string `json:"mode"`
				Steps []struct {
					Color string   `json:"color"`
					Value *float64 `json:"value"`
				} `json:"steps"`
			} `json:"thresholds"`
			Decimals *int     `json:"decimals"`
			Min      *float64 `json:"min"`
			Max      *float64 `json:"max"`
			NoValue  string   `json:"noValue"`
		} `json:"defaults"`
		Overrides []any `json:"overrides"`
	} `json:"fieldConfig"`
	Options map[string]any `json:"options"`
	Targets []target       `json:"targets"`
}

type target struct {
	RefID      string  `json:"refId"`
	DataSource *source `json:"datasource"`
	EditorMode string  `json:"editorMode"`
	Expr       string  `json:"expr"`
	Legend     string  `json:"legendFormat"`
	Instant    bool    `json:"instant"`
	Range      bool    `json:"range"`
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(file(t, "charts", "fairlead", "files", "dashboard.json")))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		t.Fatal(err)
	}
	return d
}

// units are those of Grafana that the dashboard has use for (packages/grafana-data, valueFormats/categories.ts).
var units = []string{"none", "short", "percentunit", "s", "bytes", "ops", "reqps", "wps", "pps", "mps"}

var panelTypes = []string{"stat", "timeseries", "bargauge", "state-timeline"}

// The dashboard loads as it is, whatever the data source is called.
func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	if d.UID == "" || d.Title != "Fairlead" || d.SchemaVersion != 39 {
		t.Errorf("it is %q, %q, of schema %d", d.UID, d.Title, d.SchemaVersion)
	}
	if len(d.Templating.List) == 0 || d.Templating.List[0].Name != "datasource" || d.Templating.List[0].Type != "datasource" || d.Templating.List[0].Query != "prometheus" {
		t.Error("its first variable is not the data source")
	}
	variables := []string{"$__rate_interval", "$__range"}
	for _, v := range d.Templating.List {
		if v.Type == "query" && !chosen(v.DataSource) {
			t.Errorf("the variable %s has the data source %+v", v.Name, v.DataSource)
		}
		variables = append(variables, "$"+v.Name)
	}
	ids, taken := map[int]string{}, map[[2]int]string{}
	for _, p := range d.Panels {
		t.Run(fmt.Sprint(p.ID, " ", p.Title), func(t *testing.T) {
			if other, twice := ids[p.ID]; twice || p.ID < 1 {
				t.Errorf("%q has the same id", other)
			}
			ids[p.ID] = p.Title
			if p.Grid.W < 1 || p.Grid.H < 1 || p.Grid.X < 0 || p.Grid.Y < 0 || p.Grid.X+p.Grid.W > 24 {
				t.Errorf("its place is %+v", p.Grid)
			}
			for x := p.Grid.X; x < p.Grid.X+p.Grid.W; x++ {
				for y := p.Grid.Y; y < p.Grid.Y+p.Grid.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" {
						t.Fatalf("it lies on %q", other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
			if p.Type == "row" {
				if p.Collapsed || len(p.Panels) > 0 || p.Grid.W != 24 || p.Grid.H != 1 {
					t.Error("what is in a row is to follow it")
				}
				return
			}
			checkPanel(t, p, variables)
		})
	}
}

func checkPanel(t *testing.T, p panel, variables []string) {
	if p.Title == "" || p.Description == "" || !slices.Contains(panelTypes, p.Type) || !chosen(p.DataSource) || len(p.Options) == 0 {
		t.Errorf("a title, a description, a type or the data source is missing: %+v", p)
	}
	defaults := p.FieldConfig.Defaults
	if !slices.Contains(units, defaults.Unit) {
		t.Errorf("its unit is %q", defaults.Unit)
	}
	if s := defaults.Thresholds.Steps; defaults.Thresholds.Mode != "absolute" || len(s) == 0 || s[0].Value != nil {
		t.Errorf("its thresholds are %+v", defaults.Thresholds)
	}
	if len(p.Targets) == 0 {
		t.Error("it asks for nothing")
	}
	refs := map[string]bool{}
	for _, q := range p.Targets {
		if q.RefID == "" || refs[q.RefID] || !chosen(q.DataSource) || strings.TrimSpace(q.Expr) == "" || q.Instant == q.Range {
			t.Errorf("it asks so: %+v", q)
		}
		refs[q.RefID] = true
		left := q.Expr
		for _, v := range variables {
			left = strings.ReplaceAll(left, v, "")
		}
		if strings.Contains(left, "$") {
			t.Errorf("%s has a variable that does not exist", q.Expr)
		}
	}
}

// chosen tells whether a data source is the one that is chosen in the dashboard.
func chosen(s *source) bool { return s != nil && *s == source{"prometheus", "${datasource}"} }

// grafana replaces what Grafana would.
var grafana = strings.NewReplacer("$__rate_interval", "10s", "$__range", "2m", "$node", ".*")
