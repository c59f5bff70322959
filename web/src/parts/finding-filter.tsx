import PropertyFilter, { type PropertyFilterProps } from "@cloudscape-design/components/property-filter";
import { useQueries } from "@tanstack/react-query";
import { useMemo, useState, type ReactNode } from "react";
import { facetsQuery, type Facet } from "../api/queries";
import { normalize, properties, propertyNamed, type Operator, type Token } from "../lib/filter";
import { count, optionWords, plain } from "../lib/words";
import { useAccountName } from "./basics";

const chosen = (p: { options?: string[]; facet?: string; operators: Operator[] }) => !!(p.options || p.facet) && p.operators.length <= 2;

/** FindingFilter is the filter of the list as tokens; the server knows the values. */
export function FindingFilter({ tokens, onChange, tail }: { tokens: Token[]; onChange: (t: Token[]) => void; tail?: ReactNode }) {
  const accountName = useAccountName();
  // Values are asked for when somebody looks for them.
  const [wanted, setWanted] = useState<Record<string, string>>({});
  const facets = useMemo(() => properties.filter((p) => p.facet && wanted[p.key] !== undefined), [wanted]);
  const values = useQueries({ queries: facets.map((p) => facetsQuery(p.facet as Facet, wanted[p.key] ?? "")) });

  const filteringProperties = useMemo<PropertyFilterProps.FilteringProperty[]>(
    () =>
      properties.map((p) => {
        const label = (v: string) => (p.key === "account" && accountName(v) ? `${accountName(v)} (${v})` : optionWords(p.key, v));
        const format = (v: unknown) => (Array.isArray(v) ? v.map((x) => label(String(x))).join(", ") : label(String(v ?? "")));
        return {
          key: p.key,
          propertyLabel: p.label,
          groupValuesLabel: p.plural,
          operators: p.operators.map((operator) => (chosen(p) ? { operator, tokenType: "enum" as const, format } : operator)),
        };
      }),
    [accountName],
  );

  const filteringOptions = useMemo(() => {
    const out: PropertyFilterProps.FilteringOption[] = properties.flatMap((p) => (p.options ?? []).map((value) => ({ propertyKey: p.key, value, label: optionWords(p.key, value) })));
    facets.forEach((p, i) => {
      for (const g of values[i]?.data?.groups ?? []) {
        if (g.value === "") continue;
        const name = p.key === "account" ? accountName(g.value) : "";
        out.push({ propertyKey: p.key, value: g.value, label: name ? `${name} (${g.value})` : chosen(p) ? plain(g.value) : undefined, tags: [`${count(g.count)} findings`] });
      }
    });
    return out;
  }, [facets, values, accountName]);

  const query: PropertyFilterProps.Query = {
    operation: "and",
    tokens: tokens.flatMap((t): PropertyFilterProps.Token[] => {
      const p = propertyNamed(t.property);
      if (p && chosen(p)) return [{ propertyKey: p.key, operator: t.operator, value: t.values }];
      return t.values.map((value) => ({ propertyKey: p?.key, operator: t.operator, value }));
    }),
  };

  const change = (q: PropertyFilterProps.Query) => {
    onChange(
      normalize(
        q.tokens.map((t) => ({
          property: t.propertyKey,
          operator: t.operator as Operator,
          values: (Array.isArray(t.value) ? t.value : [t.value]).map((v) => String(v ?? "")),
        })),
      ),
    );
  };

  return (
    <div className="parry-filter">
    <PropertyFilter
      query={query}
      onChange={(e) => change(e.detail)}
      hideOperations
      filteringProperties={filteringProperties}
      filteringOptions={filteringOptions}
      freeTextFiltering={{ operators: [":"], defaultOperator: ":" }}
      filteringAriaLabel="Filter findings"
      filteringPlaceholder="Filter by property, or by words of the title"
      filteringStatusType={values.some((v) => v.isLoading) ? "loading" : values.some((v) => v.isError) ? "error" : "finished"}
      filteringLoadingText="Reading values"
      filteringErrorText="The values could not be read. Type one."
      filteringEmpty="No value is known. Type one."
      onLoadItems={(e) => {
        const key = e.detail.filteringProperty?.key;
        // An account is looked for by its name too, which only this page knows.
        const prefix = key === "account" ? "" : e.detail.filteringText;
        if (key && propertyNamed(key)?.facet && wanted[key] !== prefix) setWanted({ ...wanted, [key]: prefix });
      }}
      filteringConstraintText={tokens.length > 1 ? "All parts must match. Values of one part are alternatives." : undefined}
      expandToViewport
    />
    {tail}
    </div>
  );
}
