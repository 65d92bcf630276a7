// Never compiled, only preprocessed by build.rs: which processor features do CXXFLAGS allow?
// The trailing underscore keeps the macro's own name from being replaced by its value.
#ifdef __AVX__
pointd has __AVX___
#endif
#ifdef __AVX2__
pointd has __AVX2___
#endif
#ifdef __FMA__
pointd has __FMA___
#endif
#ifdef __F16C__
pointd has __F16C___
#endif
#ifdef __BMI__
pointd has __BMI___
#endif
#ifdef __BMI2__
pointd has __BMI2___
#endif
#ifdef __AVX512F__
pointd has __AVX512F___
#endif
